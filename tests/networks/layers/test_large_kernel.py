"""Merged kernels equal their branches, for every mix of sizes, dilations and weights."""

from __future__ import annotations

import pytest
import torch

from tests.networks.backbones.networks import distance, merge, shaken
from weakseg.errors import UserError
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.reparameterize import ConvNorm, fold_norm, pad_around, spread_taps

CASES = {
    "replknet": {"lkb_origin": Branch(31, 31), "small_conv": Branch(5, 5)},
    "slak": {"LoRA1": Branch(51, 5), "LoRA2": Branch(5, 51), "small_conv": Branch(5, 5)},
    "flexible": {
        "LoRA1": Branch(13, 5, weight=0.3),
        "LoRA2": Branch(5, 13, weight=0.3),
        "square": Branch(13, 13, weight=0.7),
    },
    "dilated": {"lk_origin": Branch(13, 13), "a": Branch(5, 5), "b": Branch(7, 7, 2), "c": Branch(3, 3, 5)},
    "alone": {"lkb_origin": Branch(9, 9)},
}


@pytest.mark.parametrize("branches", CASES.values(), ids=CASES.keys())
def test_merged_equals_the_branches(branches: dict[str, Branch]) -> None:
    layer = shaken(LargeKernel(4, branches))
    inputs = torch.randn(2, 4, 20, 23)
    expected = layer(inputs)
    merge(layer)
    assert list(layer.state_dict()) == ["lkb_reparam.weight", "lkb_reparam.bias"]
    assert distance(layer(inputs), expected) < 1e-5
    merge(layer)
    assert distance(layer(inputs), expected) < 1e-5


def test_merged_kernel_is_as_large_as_the_two_strips_together() -> None:
    layer = merge(shaken(LargeKernel(2, CASES["slak"])))
    kernel = layer.lkb_reparam.weight
    assert kernel.shape == (2, 1, 51, 51)
    assert not kernel[:, :, :23, :23].any() and kernel[:, :, 0, 25].all() and kernel[:, :, 25, 0].all()


def test_weight_zero_removes_a_branch() -> None:
    branches = {"LoRA1": Branch(7, 3), "square": Branch(7, 7, weight=0.0)}
    layer = shaken(LargeKernel(3, branches))
    inputs = torch.randn(1, 3, 9, 9)
    assert distance(layer(inputs), layer.LoRA1(inputs)) < 1e-6


def test_merging_by_hand() -> None:
    branch = ConvNorm(1, 1)
    branch.bn.eps = 0.0
    for value, number in zip((branch.conv.weight, branch.bn.weight, branch.bn.bias), (3.0, 4.0, 5.0), strict=True):
        value.data.fill_(number)
    branch.bn.running_mean.fill_(6.0)
    branch.bn.running_var.fill_(4.0)
    kernel, bias = fold_norm(branch)
    assert kernel.item() == 3 * 4 / 2 and bias.item() == 5 - 6 * 4 / 2


def test_dilated_and_centered_by_hand() -> None:
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert spread_taps(row, 2).flatten().tolist() == [1, 0, 2, 0, 3]
    assert pad_around(row, (3, 5)).squeeze().tolist() == [[0] * 5, [0, 1, 2, 3, 0], [0] * 5]


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 4), (0, 3), (-1, 3)])
def test_even_kernels_have_no_center(height: int, width: int) -> None:
    with pytest.raises(UserError, match=f"kernel size {height}x{width} has no center: give odd lengths"):
        LargeKernel(2, {"lkb_origin": Branch(height, width)})


def test_merged_state_loads_into_an_unmerged_layer() -> None:
    layer = merge(shaken(LargeKernel(4, CASES["slak"])))
    other = LargeKernel(4, CASES["slak"])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.lkb_reparam.weight, layer.lkb_reparam.weight)
