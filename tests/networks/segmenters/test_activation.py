"""The classifier's own network as a segmenter: the same layers but the last, its weights or new ones."""

from __future__ import annotations

import pytest
import torch

from tests.world_networks import tiny_classifier
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier
from weakseg.networks.segmenters import activation


def unet(classes: int = 5) -> Classifier:
    torch.manual_seed(0)
    return choices.load("backbones", "unet").build("small", classes, "random").eval()


def test_it_is_the_unet_itself_with_a_channel_more() -> None:
    """With the maps' weights in its last layer, the U-Net's activation maps come out, at the images' size."""
    classifier, images = unet(), torch.rand(2, 3, 32, 48)
    segmenter = activation.build("linear", 6, "classifier", classifier=classifier).eval()
    maps = classifier.blocks[-1][0]
    with torch.no_grad():
        segmenter.decoder.weight[0], segmenter.decoder.bias[0] = 0, 0
        segmenter.decoder.weight[1:], segmenter.decoder.bias[1:] = maps.weight, maps.bias
        found = segmenter(images)
        expected = torch.nn.functional.interpolate(classifier.features(images), (32, 48), mode="bilinear")
    assert (found[:, 0] == 0).all()
    torch.testing.assert_close(found[:, 1:], expected)
    weights = sum(weight.numel() for weight in classifier.blocks.parameters())
    assert sum(weight.numel() for weight in segmenter.parameters()) == weights + maps.in_channels + 1


def test_it_starts_from_the_classifier_or_from_nothing_and_leaves_the_classifier_alone() -> None:
    classifier = unet()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    with torch.no_grad():
        classifier.blocks[0].down[0][0].bn.weight.fill_(7)
    warm, fresh = (
        activation.build("linear", 2, weights, classifier=classifier).encoder.state_dict()
        for weights in ("classifier", "random")
    )
    own = classifier.blocks[:-1].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in warm.items())
    drawn = [name for name in fresh if name.endswith("conv.weight")]
    assert drawn and not any(torch.equal(fresh[name], own[name]) for name in drawn)
    assert (fresh["0.down.0.0.bn.weight"] == 1).all()
    with torch.no_grad():
        activation.build("linear", 2, "classifier", classifier=classifier).encoder[0].down[0][0].conv.weight.zero_()
    assert torch.equal(
        classifier.state_dict()["blocks.0.down.0.0.conv.weight"], before["blocks.0.down.0.0.conv.weight"]
    )


def test_a_head_that_learns_becomes_the_output_layer() -> None:
    classifier = tiny_classifier()
    segmenter = activation.build("linear", 4, "classifier", classifier=classifier)
    assert segmenter.decoder.weight.shape[:2] == (4, classifier.head.linear.in_features)
    assert len(segmenter.encoder) == len(classifier.blocks)


def test_what_it_cannot_be_built_from_is_named() -> None:
    for classifier, weights in ((None, "random"), (unet(), "pretrained")):
        with pytest.raises(UserError, match="use weights: classifier or random with it"):
            activation.build("linear", 2, weights, classifier=classifier)
    vgg = choices.load("backbones", "timm").build("vgg11", 2, "random")
    with pytest.raises(UserError, match="needs a classifier whose head is pooled"):
        activation.build("linear", 2, "random", classifier=vgg)
