"""PooledHead by hand, and the levels and errors of Classifier."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, Classifier, PooledHead

FEATURES = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])


def filled(norm: str) -> PooledHead:
    """Two channels, one class, logit = 2 a - b + 1/2 of whatever is pooled."""
    head = PooledHead(2, 1, norm, eps=0.0).eval()
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[2.0, -1.0]]))
        head.linear.bias.fill_(0.5)
    return head


def test_plain_head_by_hand() -> None:
    assert filled("none")(FEATURES).item() == pytest.approx(2 * 2 - 2 + 0.5)


def test_batchnorm_comes_before_the_pool() -> None:
    head = filled("batchnorm")
    head.norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    head.norm.running_var.copy_(torch.tensor([4.0, 1.0]))
    assert head(FEATURES).item() == pytest.approx(2 * (2 - 1) / 2 - (2 - 2) / 1 + 0.5)


def test_layernorm_comes_after_the_pool() -> None:
    features = FEATURES + torch.tensor([2.0, 0.0])[:, None, None]
    assert filled("layernorm")(features).item() == pytest.approx(2 * 1 - (-1) + 0.5)


def test_head_offers_its_kind_weight_and_bias() -> None:
    head = filled("layernorm")
    assert head.kind == "layernorm" and isinstance(head.norm, nn.LayerNorm)
    assert head.weight.tolist() == [[2.0, -1.0]] and head.bias.tolist() == [0.5]
    with pytest.raises(ValueError, match="unknown norm"):
        PooledHead(2, 1, "groupnorm")


def doubling(count: int) -> Classifier:
    """`count` blocks, each halving the resolution."""
    blocks = nn.Sequential(*(nn.AvgPool2d(2) for _ in range(count)))
    return Classifier(blocks, PooledHead(3, 2), 2**count, HALF, HALF)


def test_levels_count_from_one_and_from_the_end() -> None:
    classifier, images = doubling(3), torch.randn(1, 3, 16, 16)
    assert classifier.levels == 3
    assert classifier.features_at(images, 1).shape[-1] == 8
    assert classifier.features_at(images, -1).shape == classifier.features_at(images, 2).shape
    assert torch.equal(classifier.blocks[1:](classifier.features_at(images, -2)), classifier.features(images))


@pytest.mark.parametrize("level", [0, 4, -3, -9])
def test_level_that_does_not_exist(level: int) -> None:
    with pytest.raises(UserError, match=f"level {level} does not exist: this classifier has levels 1 to 3"):
        doubling(3).features_at(torch.zeros(1, 3, 16, 16), level)


def test_image_smaller_than_the_stride() -> None:
    with pytest.raises(UserError, match="7x16 pixels are smaller than the network's stride of 8"):
        doubling(3)(torch.zeros(1, 3, 7, 16))


def test_normalize() -> None:
    classifier = Classifier(nn.Sequential(), PooledHead(3, 2), 1, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    assert classifier.normalize(torch.ones(1, 3, 1, 1)).flatten().tolist() == [1.0, 3.0, 1.0]
    assert classifier.normalize(torch.ones(1, 3, 1, 1, dtype=torch.float64)).dtype == torch.float64


def test_frozen_blocks_do_not_move_and_stay_in_evaluation_mode() -> None:
    blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(3)))
    classifier = Classifier(blocks, PooledHead(3, 2), 1)
    classifier.freeze(1)
    copied = copy.deepcopy(classifier)
    for network in (classifier, copied):
        network.eval()
        network.train()
        assert [block.training for block in network.blocks] == [False, False, True]
    wanted = list(classifier.blocks[-1].parameters())
    assert all(one is other for one, other in zip(classifier.trained_weights(), wanted, strict=True))
    with pytest.raises(UserError, match="trainable_blocks is 99: this network has 3 blocks"):
        classifier.freeze(99)


def test_probabilities_exclude_each_other_or_not() -> None:
    classifier, logits = doubling(1), torch.tensor([[2.0, 0.0]])
    torch.testing.assert_close(classifier.probabilities(logits), logits.softmax(1))
    classifier.target = "multi"
    torch.testing.assert_close(classifier.probabilities(logits), logits.sigmoid())
