"""Freezing: parts of a network that do not train."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound="Freezable")


class Freezable(nn.Module):
    """A network of which some parts stay as they are, whatever mode it is put in later."""

    def __init__(self) -> None:
        super().__init__()
        self._still: tuple[nn.Module, ...] = ()

    def hold(self, frozen: Iterable[nn.Module], still: Iterable[nn.Module] = ()) -> None:
        """Freeze parts: no gradient, and evaluation mode; parts that are only `still` keep their gradient.

        It replaces what was still before; a part that was frozen stays without gradient.
        """
        frozen = tuple(frozen)
        for part in frozen:
            part.requires_grad_(False)
        self._still = (*frozen, *still)
        self.train(self.training)

    def train(self: Network, mode: bool = True) -> Network:
        """Set the mode; still parts stay in evaluation mode."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self
