"""Mean of maps over scaled and mirrored copies of a batch, held in memory one copy at a time.

Ahn, Cho, Kwak, "Weakly supervised learning of instance segmentation with inter-pixel relations" (2019),
arXiv 1904.05044.
Differs from the paper: the mean, not the sum, so that scores keep their unit; no division by the class maximum, which
belongs to thresholding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.nn import functional

from weakseg.cams import arithmetic


def scale_and_mirror(images: Tensor, scales: Sequence[float], flip: bool) -> Iterator[tuple[Tensor, bool]]:
    """Copies (B,3,H',W') of images (B,3,H,W) at each scale (H' = round(scale H)), and whether each is mirrored.

    The first copy is the first scale, not mirrored; at scale 1 it is `images` itself.
    """
    for scale in scales:
        size = [round(scale * side) for side in images.shape[-2:]]
        scaled = images
        if size != list(images.shape[-2:]):
            scaled = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        yield scaled, False
        if flip:
            yield scaled.flip(-1), True


class Mean:
    """Streaming mean of maps (...,h,w) on the grid of those added first; mirrored ones are mirrored back."""

    def __init__(self) -> None:
        self.totals: list[Tensor] = []
        self.count = 0

    def add(self, parts: Sequence[Tensor], mirrored: bool) -> None:
        """Add one copy's maps, the same number of them each time."""
        upright = [part.flip(-1) if mirrored else part for part in parts]
        if not self.totals:
            self.totals = [part.clone() for part in upright]
        else:
            for total, part in zip(self.totals, upright, strict=True):
                same = part.shape[-2:] == total.shape[-2:]
                total += part if same else arithmetic.resize(part, total.shape[-2:])
        self.count += 1

    def result(self) -> list[Tensor]:
        """The means, in the order of the parts."""
        return [total / self.count for total in self.totals]
