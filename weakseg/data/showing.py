"""How images are shown to a network outside of training: what the recipes of all trainings have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from weakseg.harness.device import Precision


class Shown(Protocol):
    """A recipe, as far as it says how images are shown: side in pixels, images at once, precision of the network."""

    @property
    def image_size(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def precision(self) -> Precision: ...


@dataclass(frozen=True)
class Showing:
    """The same where there is no recipe, or at another size than the recipe's."""

    image_size: int
    batch_size: int
    precision: Precision
