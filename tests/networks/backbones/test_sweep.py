"""Every backbone in the folder keeps the Classifier's contract."""

from __future__ import annotations

import pytest
import torch

from tests.networks.backbones.networks import distance, images, shaken
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier, PooledHead

CLASSES = 5
SMALL = dict.fromkeys(choices.names("backbones"), "small") | {"timm": "test_resnet"}
TORCH_ONLY = ("replknet", "slak", "unet", "unireplknet")


@pytest.fixture(scope="module", params=sorted(SMALL))
def classifier(request: pytest.FixtureRequest) -> Classifier:
    torch.manual_seed(0)
    return shaken(choices.load("backbones", request.param).build(SMALL[request.param], CLASSES, "random"))


def test_shapes_and_composition(classifier: Classifier) -> None:
    batch = images(3)
    with torch.no_grad():
        features, logits = classifier.features(batch), classifier(batch)
    assert features.shape[::2] == (3, 64 // classifier.stride) and features.shape[3] == 64 // classifier.stride
    assert logits.shape == (3, CLASSES) and logits.isfinite().all() and features.isfinite().all()
    assert torch.equal(classifier.logits(features), logits)
    assert isinstance(classifier.head, PooledHead) and classifier.head.weight.shape == (CLASSES, features.shape[1])


def test_levels_compose(classifier: Classifier) -> None:
    batch = images(2)
    with torch.no_grad():
        expected = classifier.features(batch)
        for level in range(1, classifier.levels + 1):
            assert torch.equal(classifier.blocks[level:](classifier.features_at(batch, level)), expected)


def test_permuted_batch_permutes_the_logits(classifier: Classifier) -> None:
    batch, order = images(4), torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        assert distance(classifier(batch[order]), classifier(batch)[order]) < 1e-5


def test_evaluation_repeats_itself_and_touches_nothing(classifier: Classifier) -> None:
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    with torch.no_grad():
        assert torch.equal(classifier(images(2)), classifier(images(2)))
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not classifier.training and all(parameter.grad is None for parameter in classifier.parameters())


def test_any_image_size_down_to_the_stride(classifier: Classifier) -> None:
    with torch.no_grad():
        assert classifier(images(1, 77)).isfinite().all()
    if classifier.stride > 1:
        with pytest.raises(UserError, match=r"smaller than the network's stride|too small"):
            classifier(images(1, classifier.stride - 1))


def test_gradients_reach_every_trainable_parameter(classifier: Classifier) -> None:
    parameters = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(classifier(images(2)).square().sum(), parameters)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert sum(bool(gradient.any()) for gradient in gradients) > 0.9 * len(gradients)


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"timm"}))
def test_small_variants_suit_drawn_images(name: str) -> None:
    with torch.device("meta") if name in TORCH_ONLY else torch.device("cpu"):
        classifier = choices.load("backbones", name).build("small", 6, "random")
    assert 1 <= classifier.stride <= 8
    assert 1e5 < sum(parameter.numel() for parameter in classifier.parameters()) < 6e5


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"timm"}))
def test_unknown_variant_lists_those_there_are(name: str) -> None:
    with pytest.raises(UserError, match=rf"backbone {name} has no variant 'tiny9': choose one of small"):
        choices.load("backbones", name).build("tiny9", CLASSES, "random")


@pytest.mark.parametrize("name", TORCH_ONLY)
def test_nothing_to_download(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no download of pretrained weights"):
        choices.load("backbones", name).build("small", CLASSES, "pretrained")
