"""Initial weights of the ConvNeXt line of networks."""

from __future__ import annotations

from torch import nn

DEVIATION = 0.02


def truncated_normal(module: nn.Module) -> None:
    """Truncated normal weights of deviation .02 and zero biases, for `module.apply`."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
