"""Initial weights of the ConvNeXt line of networks, for `module.apply`."""

from __future__ import annotations

from torch import nn

DEVIATION = 0.02


def draw_truncated(module: nn.Module) -> None:
    """Truncated normal weights of deviation .02, zero biases, as published: for training over hundreds of epochs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def draw_torch_default(module: nn.Module) -> None:
    """Torch's own initial weights, whatever the network's author drew: for training over hundreds of steps."""
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
