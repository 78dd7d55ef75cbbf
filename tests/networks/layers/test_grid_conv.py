"""The convolution as a matrix: equal to torch's, forward and backward, on grids smaller and larger than the kernel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from weakseg.networks.layers.grid_conv import GridConv2d, list_windows

SIZES = [((31, 31), (16, 16)), ((9, 7), (6, 5)), ((5, 5), (8, 8)), ((1, 9), (6, 6))]


@pytest.mark.parametrize(("kernel", "grid"), SIZES)
def test_equal_to_torch(kernel: tuple[int, int], grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    sizes = {"padding": (kernel[0] // 2, kernel[1] // 2), "groups": 4, "bias": False}
    ours, torchs = (kind(4, 4, kernel, **sizes).double() for kind in (GridConv2d, nn.Conv2d))
    torchs.load_state_dict(ours.state_dict())
    inputs, found = torch.randn(3, 4, *grid, dtype=torch.double), []
    for layer in (ours, torchs):
        given = inputs.clone().requires_grad_()
        output = layer(given)
        gradients = torch.autograd.grad(output.sin().sum(), [given, layer.weight])
        found.append([output, *gradients])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_windows_by_hand() -> None:
    """A kernel (1, 2, 3) in one row: output 0 sees input 0 by 2 and input 1 by 3, output 1 input 0 by 1."""
    rows = list_windows(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 1, 2)
    assert rows.tolist() == [[[2.0, 1.0], [3.0, 2.0]]]
