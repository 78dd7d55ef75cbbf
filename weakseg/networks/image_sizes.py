"""Which sides of images a network takes, and what is said of those it does not."""

from __future__ import annotations

from dataclasses import dataclass

from weakseg.errors import UserError


@dataclass(frozen=True)
class ImageSizes:
    """Sides in pixels: at least `least`, multiples of `multiple`; `only` that one where it is not 0."""

    least: int
    multiple: int = 1
    only: int = 0

    def check(self, height: int, width: int) -> None:
        """UserError that says which sizes work."""
        said = f"images of {height}x{width} pixels"
        if min(height, width) < self.least:
            raise UserError(
                f"{said} are smaller than the network's stride of {self.least}: use an image size of at least"
                f" {self.least}"
            )
        if self.only and (height, width) != (self.only, self.only):
            raise UserError(
                f"{said} do not suit this network, which takes one size alone: use an image size of {self.only}"
            )
        if height % self.multiple or width % self.multiple:
            raise UserError(f"{said} do not suit this network: use an image size that is a multiple of {self.multiple}")

    def example(self) -> int:
        """A small side that works: the only one, or four times the largest of the others."""
        return self.only or 4 * max(self.least, self.multiple)
