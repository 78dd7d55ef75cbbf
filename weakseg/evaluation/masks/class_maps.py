"""Stored activation maps of an image's classes, and the best threshold that true masks could choose for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weakseg.artifacts.activations import Cams
from weakseg.artifacts.truth import TrueMasks
from weakseg.data import grids
from weakseg.evaluation.masks.activation import ThresholdSweep
from weakseg.harness.progress import track

BINS = 4000  # of the search for the best threshold


@dataclass(frozen=True)
class ClassMaps:
    """One map for each class of an image, read from an archive; an image may have none.

    span: the values between which the best threshold is searched.
    """

    archive: Cams
    scaled: bool
    span: tuple[float, float]

    @classmethod
    def activations(cls, archive: Cams) -> ClassMaps:
        """Activation values in any unit, brought to [0, 1] map by map."""
        return cls(archive, scaled=True, span=(0.0, 1.0))

    @classmethod
    def logits(cls, archive: Cams) -> ClassMaps:
        """Logits, taken as they are."""
        return cls(archive, scaled=False, span=(-20.0, 20.0))

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Maps (K,h,w) of one image and their class indices (K,)."""
        entry = self.archive.cams(name)
        return grids.minmax(entry.scores) if self.scaled else entry.scores, entry.classes


def find_oracle(truth: TrueMasks, maps: ClassMaps, ids: Sequence[str]) -> float:
    """The threshold with the best mean IoU of foreground and background over these images; reads the true masks.

    One for all images; NaN where they have no foreground, or no map.
    """
    sweep = ThresholdSweep(*maps.span, bins=BINS)
    for name in track(ids, "oracle threshold"):
        scores, _ = maps.read(name)
        if len(scores):
            sweep.add(grids.resize(scores, truth.shape(name)).max(0), truth.mask(name))  # (K,H,W) -> (H,W)
    return sweep.result()[0]
