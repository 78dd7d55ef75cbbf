"""A classifier seen from one of its levels, so that one forward pass serves maps of several layers.

Level n is the output after n blocks; 0 is the last one and -n is n blocks before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from weakseg import maps
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import Method, View, counted


def fused(
    classifier: Classifier,
    wanted: Sequence[int],
    fusion: str,
    method: Method,
    seen: tuple[Tensor, dict[int, Tensor]],
    classes: Tensor,
) -> Tensor:
    """Maps (B,K,h,w) of a method at each wanted level, fused; `seen` = (images, their `outputs` at those levels)."""
    images, known = seen
    cuts = [View(classifier, level, (images, known[counted(classifier, level)])) for level in wanted]
    return maps.fuse([method(cut, images, classes) for cut in cuts], fusion)
