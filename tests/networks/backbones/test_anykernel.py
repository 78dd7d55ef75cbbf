"""The controlled network: the kernel is the only difference, and decides what a cell can see."""

from __future__ import annotations

import pytest
import torch

from tests.networks.backbones.networks import shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import anykernel
from weakseg.networks.layers.large_kernel import LargeKernel


def shapes(variant: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in anykernel.build(variant, 5, "random").state_dict().items()}


def seen(variant: str) -> torch.Tensor:
    """Which cells (16,16) of one block's input its middle output depends on."""
    torch.manual_seed(0)
    block = shaken(anykernel.Block(anykernel.parse(variant)))
    inputs = torch.randn(1, anykernel.Variant().width, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(inputs)[0, :, 8, 8].sum(), inputs)
    return gradient[0].abs().sum(0) > 0


def test_only_the_kernel_differs() -> None:
    few, many = shapes("k3"), shapes("k21")
    assert list(few) == list(many)
    changed = {name for name in few if few[name] != many[name]}
    assert len(changed) == 3 and all(name.endswith("kernel.square.conv.weight") for name in changed)


@pytest.mark.parametrize("side", [3, 9])
def test_square_and_cross_see_their_own_shape(side: int) -> None:
    square, cross, reach = seen(f"k{side}"), seen(f"k{side}_cross"), side // 2
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[8 - reach : 9 + reach, 8 - reach : 9 + reach] = True
    assert torch.equal(square, expected)
    strips = torch.zeros(16, 16, dtype=torch.bool)
    strips[8, 8 - reach : 9 + reach] = strips[8 - reach : 9 + reach, 8] = True
    assert torch.equal(cross, strips)


def test_the_largest_kernel_joins_every_cell_to_every_other() -> None:
    assert seen("k31").all()


def test_a_cross_merges_into_one_kernel() -> None:
    torch.manual_seed(0)
    network = shaken(anykernel.build("k5_cross", 5, "random"))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        for layer in network.modules():
            if isinstance(layer, LargeKernel):
                layer.merge()
        assert torch.allclose(network(images), before, atol=1e-4)


@pytest.mark.parametrize("variant", ["k", "13", "k13_plus", "k13_cross_"])
def test_other_names_are_refused(variant: str) -> None:
    with pytest.raises(UserError, match=rf"anykernel has no variant '{variant}': choose one of small, or k<side>"):
        anykernel.build(variant, 5, "random")


def test_an_even_kernel_has_no_center() -> None:
    with pytest.raises(UserError, match="kernel size 4x4 has no center"):
        anykernel.build("k4", 5, "random")
