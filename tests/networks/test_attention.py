"""Attention read off transformers: timm's own weights, rows of sum 1, rollout against a naive product, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.networks.backbones.networks import distance, images
from tests.networks.transformers import FAMILIES, HALF, SHORT, TINY, TOKENS, create
from weakseg.errors import UserError
from weakseg.networks import attention
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import outputs
from weakseg.networks.loading import split_timm

ROWS = [row[:3] for row in TOKENS]


def split(name: str, options: dict[str, Any]) -> Classifier:
    """A family's network as a classifier."""
    return split_timm.split(create(name, options), HALF, HALF)


def softmax_of_logits(block: Any, tokens: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) of a plain block, a mean over heads, from the weights of its layers."""
    plain = block.attn
    q, k, _ = plain.qkv(block.norm1(tokens)).chunk(3, -1)
    q, k = (part.unflatten(-1, (plain.num_heads, -1)).transpose(1, 2) for part in (q, k))  # (B,H,N,C/H)
    return ((q @ k.mT) / q.shape[-1] ** 0.5).softmax(-1).mean(1)


def own_weights(network: Any, batch: Tensor) -> list[Tensor]:
    """What timm's own unfused path multiplies values with, block by block, a mean over heads."""
    found: list[Tensor] = []
    for block in network.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: found.append(output.mean(1)))
    network(batch)
    return found


@pytest.mark.parametrize(("name", "options", "side"), ROWS)
@torch.no_grad()
def test_weights_are_those_of_timms_unfused_path(name: str, options: dict[str, Any], side: int) -> None:
    batch, classifier = images(2, side), split(name, options)
    expected = own_weights(create(name, options), batch)
    known = outputs(classifier, batch, range(1, classifier.levels + 1))
    for count in range(2, classifier.levels + 1):
        weights, after = attention.weigh(classifier, known[count - 1], count)
        assert distance(weights, expected[count - 2]) < 1e-5
        torch.testing.assert_close(weights.sum(2), torch.ones(weights.shape[:2]))
        assert weights.min() >= 0 and distance(after, known[count]) < 1e-5
    cells = attention.between_cells(classifier, known, [2, classifier.levels])
    count = known[1].shape[2] * known[1].shape[3]
    mean = (expected[0] + expected[-1])[:, -count:, -count:] / 2
    assert cells.shape == (2, count, count) and distance(cells, mean) < 1e-5


@torch.no_grad()
def test_weights_are_the_softmax_of_queries_and_keys() -> None:
    batch, classifier = images(2, 64).double(), split("vit_tiny_patch16_224", TINY).double()
    network = create("vit_tiny_patch16_224", TINY).double()
    tokens = network.norm_pre(network._pos_embed(network.patch_embed(batch)))
    weights, _ = attention.weigh(classifier, classifier.features_at(batch, 1), 2)
    torch.testing.assert_close(weights, softmax_of_logits(network.blocks[0], tokens))


@pytest.mark.parametrize(("name", "options", "side"), ROWS)
@torch.no_grad()
def test_rollout_is_the_naive_product_in_float64(name: str, options: dict[str, Any], side: int) -> None:
    batch, network = images(2, side).double(), create(name, options).double()
    classifier = split_timm.split(create(name, options), HALF, HALF).double()
    found = attention.roll_out(classifier, batch)
    rolled = torch.eye(own_weights(network, batch)[0].shape[1]).double().expand(2, -1, -1)
    for weights in own_weights(create(name, options).double(), batch):
        rolled = (0.5 * weights + 0.5 * torch.eye(weights.shape[1]).double()) @ rolled
    torch.testing.assert_close(rolled.sum(2), torch.ones_like(rolled[..., 0]))
    cells = found[0].numel()
    pools = classifier.tokens is None or classifier.tokens.reach == classifier.levels
    expected = rolled[:, -cells:, -cells:].mean(1) if pools else rolled[:, 0, -cells:]
    torch.testing.assert_close(found.flatten(1), expected)


@torch.no_grad()
def test_parts_of_a_batch_and_kernels_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, classifier = images(3, 64), split("vit_tiny_patch16_224", TINY)
    fused = [attention.find_attention(classifier, count).fused_attn for count in (2, 3, 4)]
    features = classifier.features_at(batch, 1)
    whole = attention.weigh(classifier, features, 2)
    monkeypatch.setattr(attention, "LARGEST", 1)
    for one, other in zip(attention.weigh(classifier, features, 2), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert [attention.find_attention(classifier, count).fused_attn for count in (2, 3, 4)] == fused
    assert not any(module._forward_pre_hooks for module in classifier.modules())


def test_weights_carry_the_graph_of_the_features() -> None:
    classifier = split("vit_tiny_patch16_224", TINY).double()
    features = classifier.features_at(images(1, 32).double(), 1).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda grid: attention.weigh(classifier, grid, 2)[0], features, fast_mode=True)


REFUSED = [row[:3] for row in FAMILIES if row[0].startswith(("samvit", "mixer", "swin", "pvt", "coatnet", "maxvit"))]


@pytest.mark.parametrize(("name", "options", "side"), REFUSED)
def test_other_networks_say_that_they_have_none(name: str, options: dict[str, Any], side: int) -> None:
    classifier = split(name, options)
    with pytest.raises(UserError, match=r"block \d+ of \d+ has no attention of all tokens to all: every block"):
        attention.roll_out(classifier, images(1, side))


def test_the_first_block_has_none() -> None:
    with pytest.raises(UserError, match="block 1 of 4 has no attention"):
        attention.find_attention(split("vit_tiny_patch16_224", TINY), 1)
    with pytest.raises(UserError, match="block 3 of 5 has no attention"):
        attention.find_attention(split("swin_tiny_patch4_window7_224", SHORT), 3)
