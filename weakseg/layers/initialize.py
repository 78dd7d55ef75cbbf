"""Initial weights of the ConvNeXt line of networks, for `module.apply`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

DEVIATION = 0.02


def initialized(module: nn.Module, fill: Callable[[Tensor], Tensor]) -> None:
    """Fill the weights of a convolution or linear layer, with zero biases; leave other modules."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        fill(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def truncated_normal(module: nn.Module) -> None:
    """Truncated normal weights of deviation .02, as published: for training over hundreds of epochs."""
    initialized(module, lambda weight: nn.init.trunc_normal_(weight, std=DEVIATION))


def unit_gain(module: nn.Module) -> None:
    """Normal weights of deviation 1/sqrt(inputs): residual branches count from the start, for short training."""
    initialized(module, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="linear"))
