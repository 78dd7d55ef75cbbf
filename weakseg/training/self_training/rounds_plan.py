"""What the rounds of a segmenter are told: numbers, choices, and what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.errors import UserError
from weakseg.harness.choices import Choice
from weakseg.masks.contracts import Refine
from weakseg.training.recipes.segmenter import Recipe

Supervision = Literal["weak", "full"]  # pseudo-masks and self-training, or true masks and one round


@dataclass(frozen=True)
class Plan:
    """What decides the result: numbers, the segmenter, the refiner between rounds, and whose masks they are."""

    recipe: Recipe
    segmenter: Choice
    refine: Refine
    supervision: str
    background: Sequence[str] = ()  # classes that mean nothing to segment

    def last_round(self) -> int:
        """Number of the last round at most; true masks are not self-trained. UserError: another supervision."""
        if self.supervision not in get_args(Supervision):
            known = ", ".join(get_args(Supervision))
            raise UserError(f"--supervision is '{self.supervision}': choose one of {known}")
        return self.recipe.rounds if self.supervision == "weak" else 0


@dataclass(frozen=True)
class Sources:
    """What the rounds read: archives, labels.csv, and the file of the classifier."""

    images: zips.Images
    segments: zips.Segments
    masks: Masks
    frame: pd.DataFrame
    classifier: Path

    def trained_ids(self) -> list[str]:
        """Images of splits train and val."""
        return [str(name) for name in self.frame.index[self.frame["split"].isin(("train", "val"))]]
