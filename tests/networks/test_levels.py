"""Levels of a classifier from one forward pass, and what is looked at before one."""

from __future__ import annotations

import pytest
import torch

from weakseg.errors import UserError
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier, PooledHead


def network() -> Classifier:
    def block(a: int, b: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Conv2d(a, b, 3, 1, 1))

    return Classifier(torch.nn.Sequential(block(3, 4), block(4, 5), block(5, 6)), PooledHead(6, 2), 1)


def test_levels_of_one_pass_are_those_of_separate_passes():
    classifier, images = network(), torch.randn(2, 3, 8, 8)
    before = images.clone()
    found = levels.outputs(classifier, images.clone(), [0, -2, 2])
    assert sorted(found) == [1, 2, 3]
    for level in (1, 2, 3):
        torch.testing.assert_close(found[level], classifier.features_at(before.clone(), level))


def test_what_is_after_a_level_does_the_rest():
    classifier, images = network(), torch.randn(2, 3, 8, 8)
    for level in (0, -1, 1):
        (features,) = levels.outputs(classifier, images.clone(), [level]).values()
        torch.testing.assert_close(levels.head_after(classifier, level)(features), classifier(images.clone()))
    assert levels.head_after(classifier, 0) is classifier.head


def test_evaluating_restores_each_mode_after_an_error():
    classifier = network()
    classifier.blocks[1].eval()
    before = [module.training for module in classifier.modules()]
    with pytest.raises(RuntimeError), levels.evaluating(classifier):
        assert not any(module.training for module in classifier.modules())
        raise RuntimeError
    assert [module.training for module in classifier.modules()] == before


def test_flaw_names_the_weight():
    classifier = network()
    assert levels.find_flaw(classifier) is None
    classifier.head.bias.data[0] = float("inf")
    with pytest.raises(UserError, match=r"'head\.linear\.bias' holds NaN or infinity"):
        levels.require_finite(classifier)


def test_a_module_lies_where_its_weights_do():
    assert levels.locate(network()) == torch.device("cpu")
    assert levels.locate(network().to("meta")) == torch.device("meta")
