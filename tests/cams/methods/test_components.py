"""Eigen-CAM, PC1 and the feature norm against their definitions, one image at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.cams.methods import networks
from weakseg.cams.methods import cam, eigencam, featnorm, pc1
from weakseg.cams.view import look
from weakseg.networks.classifier import Classifier, PooledHead


def first_axis(table: torch.Tensor) -> torch.Tensor:
    """Scores of centered rows (cells, channels) on the first right singular vector."""
    table = table - table.mean(0)
    return table @ torch.linalg.svd(table, full_matrices=False)[2][0]


def test_eigencam_is_the_first_singular_vector_with_the_sign_of_the_norm():
    network, (images, classes) = networks.classifier(signed=True).eval(), networks.batch()
    found = eigencam.maps(look(network, images), classes)
    for maps, activation in zip(found, network.features(images).detach(), strict=True):
        expected = first_axis(activation.flatten(1).T)
        norm = activation.flatten(1).norm(dim=0)
        expected = expected * torch.sign((expected * (norm - norm.mean())).sum())
        torch.testing.assert_close(maps, expected.view(1, 6, 6).expand_as(maps), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("weights", "kind"), [("class", "batchnorm"), ("raw", "batchnorm"), ("class", "none")])
def test_pc1_is_the_first_component_of_min_maxed_weighted_channels(weights, kind):
    network, (images, classes) = networks.classifier(kind).eval(), networks.batch()
    found = pc1.maps(look(network, images), classes, weights=weights)
    rows = network.head.weight
    if weights == "class" and kind == "batchnorm":
        rows = rows * network.head.norm.weight / (network.head.norm.running_var + network.head.norm.eps).sqrt()
    for maps, wanted, activation in zip(found, classes, network.features(images).detach(), strict=True):
        for one, row in zip(maps, rows[wanted].detach(), strict=True):
            stack = (row[:, None, None] * activation).flatten(1)
            low, high = stack.min(1, keepdim=True).values, stack.max(1, keepdim=True).values
            expected = first_axis(torch.where(high > low, (stack - low) / (high - low), 0).T).view(6, 6)
            frame = torch.ones(6, 6, dtype=torch.bool)
            frame[1:-1, 1:-1] = False
            expected = -expected if expected[frame].mean() > expected.mean() else expected
            torch.testing.assert_close(one, expected, atol=1e-4, rtol=1e-4)


def test_pc1_finds_an_object_in_the_middle_whatever_the_signs():
    """Two channels that fire on the object, one that fires around it; weights of both signs."""
    blob = torch.zeros(1, 1, 7, 7)
    blob[..., 2:5, 2:5] = 1
    features = torch.cat([blob, 0.5 * blob, 1 - blob], 1)
    head = PooledHead(3, 2)
    head.linear.weight.data = torch.tensor([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    network = Classifier(nn.Sequential(nn.Identity()), head, 1)
    found = pc1.maps(look(network, features), torch.tensor([[0, 1]]), weights="class")
    assert ((found > 0) == (blob > 0)).all()


def test_featnorm_by_hand():
    features = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    network = Classifier(nn.Sequential(nn.Identity()), PooledHead(2, 3), 1)
    found = featnorm.maps(look(network, features), torch.tensor([[0, 2]]))
    torch.testing.assert_close(found, torch.full((1, 2, 2, 2), 5.0))


def test_the_classes_of_a_class_agnostic_map_do_not_share_memory():
    network, (images, classes) = networks.classifier().eval(), networks.batch()
    view = look(network, images)
    found = featnorm.maps(view, classes)
    found[:, 0] = 0
    assert found[:, 1].any() and view.features.any()
    assert cam.maps(view, classes, weights="class").shape == found.shape
