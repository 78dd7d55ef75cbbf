"""One threshold for all images, picked on the maps of some of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from weakseg.artifacts.formats import zips
from weakseg.artifacts.sampling import evenly
from weakseg.data import grids
from weakseg.errors import UserError
from weakseg.harness.progress import track
from weakseg.masks.contracts import Confidence, Pick
from weakseg.masks.refinement import Recipe
from weakseg.masks.sources import Sources

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class LazyConfidence:
    """Confidence of a saved classifier in each map's (image id, class); loaded when a threshold asks: most never do."""

    classifier: Path
    images: zips.Images
    owners: list[tuple[str, int]]

    @cached_property
    def loaded(self) -> Confidence:
        """The classifier, ready to be asked."""
        from weakseg.masks import partial_view  # brings torch: seconds

        return partial_view.load_confidence(self.classifier, self.images, self.owners)

    def __call__(self, places: Sequence[int], masks: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (n,) of the maps number `places`, masks (h,w) bool of their images shown."""
        return self.loaded(places, masks)


def asks_classifier(pick: Callable[..., Any]) -> bool:
    """Whether a threshold cannot do without `confidence`, a mean over images: it gives the argument no default."""
    return inspect.signature(pick).parameters["confidence"].default is inspect.Parameter.empty


def pool(pick: Pick, recipe: Recipe, sources: Sources, classifier: Path, ids: Sequence[str]) -> float | None:
    """One threshold for all images, from min-max maps of some of `ids`; None where each image has its own."""
    if recipe.source == "distilled" or recipe.threshold_scope == "image":
        return None
    maps: list[np.ndarray] = []
    owners: list[tuple[str, int]] = []
    for image_id in track(evenly(ids, recipe.pooled_images), "threshold"):
        entry = sources.cams.cams(image_id)
        maps += list(grids.minmax(entry.scores))
        owners += [(image_id, int(one)) for one in entry.classes]
    if not maps:
        raise UserError("no training image has a map: there is nothing to pick a threshold on, so label some of them")
    return pick(maps, confidence=LazyConfidence(classifier, sources.images, owners))
