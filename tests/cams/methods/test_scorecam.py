"""Score-CAM against the paper written out, its channel budget, the number of forward passes and the bound on memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.cams.methods import networks
from weakseg.cams.methods import scorecam
from weakseg.cams.view import look
from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead

FULL = {"channels": 0, "grouping": "top", "chunk": 7}


def published(network: Classifier, image: Tensor, index: int) -> Tensor:
    """Algorithm 1 for one image and class, channel by channel; flat channels mask nothing and are left out."""
    network.eval()
    with torch.no_grad():
        activation = network.features(image[None])[0]
        scores, kept = [], []
        for channel in activation:
            large = functional.interpolate(channel[None, None], image.shape[-2:], mode="bilinear")[0, 0]
            if channel.max() > channel.min():
                mask = (large - large.min()) / (large.max() - large.min())
                scores.append(network(image[None] * mask)[0, index] - network(image[None] * 0)[0, index])
                kept.append(channel)
        weights = torch.stack(scores).softmax(0)
        return sum(weight * channel for weight, channel in zip(weights, kept, strict=True)).relu()


@pytest.mark.parametrize("kind", ["none", "mlp"])
def test_full_budget_is_the_published_algorithm(kind):
    network, (images, classes) = networks.classifier(kind), networks.batch(size=2, per_image=2)
    found = scorecam.maps(look(network, images), classes, **FULL)
    for image, wanted, maps in zip(images, classes.tolist(), found, strict=True):
        for index, one in zip(wanted, maps, strict=True):
            torch.testing.assert_close(one, published(network, image, index), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("budget", "chunk"), [(5, 2), (5, 100), (0, 4)])
def test_forward_passes_and_images_in_memory(budget, chunk):
    network, (images, classes) = networks.classifier(signed=True), networks.batch(size=2)
    sizes: list[int] = []
    network.blocks[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    scorecam.maps(look(network, images), classes, channels=budget, grouping="top", chunk=chunk)
    assert sum(sizes) == len(images) * (1 + (budget or networks.CHANNELS))
    assert max(sizes[1:]) <= chunk


def test_the_chunk_does_not_change_the_maps():
    network, (images, classes) = networks.classifier(), networks.batch()
    one, many = (scorecam.maps(look(network, images), classes, **{**FULL, "chunk": chunk}) for chunk in (1, 100))
    torch.testing.assert_close(one, many)


def test_top_takes_the_channels_of_most_energy():
    features = torch.tensor([1.0, -4.0, 0.5, 3.0]).view(4, 1, 1) * torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    stacks, counts = scorecam.group_channels(features, 2, "top")
    torch.testing.assert_close(stacks, features[[1, 3]])
    assert counts.tolist() == [1, 1]


def test_groups_by_hand():
    """Channels 0 and 2 have one map at two scales, 1 and 3 another: two groups, each the mean of its two."""
    one, other = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [2.0, 1.0]])
    stacks, counts = scorecam.group_channels(torch.stack([4 * one, 3 * other, one, other]), 2, "grouped")
    torch.testing.assert_close(stacks, torch.stack([2 * other, 2.5 * one]))
    assert counts.tolist() == [2, 2]


def test_grouped_is_exact_for_copied_channels():
    """A network whose channels come in equal pairs: half the budget, grouped, gives the full map."""
    network, (images, classes) = networks.classifier(), networks.batch()
    last = network.blocks[2]
    for tensor in (last[0].weight, last[0].bias, *(last[1].state_dict(keep_vars=True)[name] for name in NORM)):
        tensor.data[networks.CHANNELS // 2 :] = tensor.data[: networks.CHANNELS // 2]
    full = scorecam.maps(look(network, images), classes, **FULL)
    half = scorecam.maps(look(network, images), classes, channels=networks.CHANNELS // 2, grouping="grouped", chunk=4)
    torch.testing.assert_close(half, full, atol=1e-5, rtol=1e-4)


NORM = ("weight", "bias", "running_mean", "running_var")


def test_flat_channels_are_left_out():
    head = PooledHead(3, 2)
    network = Classifier(nn.Sequential(nn.Conv2d(3, 3, 1)), head, 1)
    network.blocks[0].weight.data[1] = 0
    images = torch.randn(1, 3, 6, 6)
    classes = torch.tensor([[0]])
    found = scorecam.maps(look(network, images), classes, **FULL)
    torch.testing.assert_close(found[0, 0], published(network, images[0], 0), atol=1e-5, rtol=1e-4)
    network.blocks[0].weight.data.zero_()
    assert not scorecam.maps(look(network, images), classes, **FULL).any()


def test_a_larger_budget_is_nearer_to_the_full_map():
    from scipy.stats import spearmanr

    network, (images, classes) = networks.classifier(), networks.batch(size=6, side=48)
    full = scorecam.maps(look(network, images), classes, **FULL).flatten(2)
    agreement = []
    for budget in (2, networks.CHANNELS - 1):
        found = scorecam.maps(look(network, images), classes, **{**FULL, "channels": budget}).flatten(2)
        pairs = zip(found.flatten(0, 1), full.flatten(0, 1), strict=True)
        agreement.append(np.mean([spearmanr(one, other).statistic for one, other in pairs]))
    assert agreement[1] > 0.98 and agreement[1] > agreement[0]


@pytest.mark.parametrize("bad", [{"channels": -1}, {"chunk": 0}])
def test_bad_options(bad):
    network, (images, classes) = networks.classifier(), networks.batch()
    with pytest.raises(UserError, match="use at least 0 and 1"):
        scorecam.maps(look(network, images), classes, **{**FULL, **bad})
