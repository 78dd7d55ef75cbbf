"""Self-training: predict, refine in image space, train again, with a stop rule that needs no mask.

D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", ICML
workshop 2013. Step three of system (3) uses superpixels as the refiner.
Differs from the paper: rounds stop when two networks in a row agree, and a round that departs is thrown away; unless
`soft_outputs` says probabilities, as published for system (3), the refiner gets their log-odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts import activations
from weakseg.artifacts.activations import CamEntry
from weakseg.artifacts.formats import masks, zips
from weakseg.data import grids
from weakseg.harness import digests, kept, workers
from weakseg.harness.kept import Kept, Record
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.contracts import Refine
from weakseg.training.recipes.segmenter import SoftOutputs

SMALLEST = 1e-4  # probability below which a prediction's log-odds are cut

NO_NORM, NO_FEATURES = np.zeros((1, 1), np.float32), np.zeros((0, 1, 1), np.float32)


def present_classes(
    frame: pd.DataFrame, names: Sequence[str], binary: bool, background: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Indices (K,) of the classes each image's label names, in order; with one foreground alone [0] stands for all.

    Those of `background` are left out, so that K = 0 for an image that shows nothing else.
    """
    index, present = {name: number for number, name in enumerate(names)}, {}
    for row, labels in frame["labels"].items():
        shown = {0 if binary else index[name] for name in labels if name not in background}
        present[str(row)] = np.array(sorted(shown), np.int64)
    return present


def score(probability: np.ndarray, soft_outputs: SoftOutputs) -> np.ndarray:
    """Scores (K,h,w) of probabilities (K+1,h,w), above 0 where a class beats the background.

    log_odds: log(p_k / p_0), in the unit of hard seeds and bands. probabilities: p_k - p_0, in [-1, 1], whose mean over
    a superpixel is above 0 just where the class wins the mean soft output, as published for system (3).
    """
    if soft_outputs == "log_odds":
        return pseudomasks.log_odds(probability, SMALLEST)
    return (probability[1:] - probability[:1]).astype(np.float32)


def score_present(probability: np.ndarray, classes: np.ndarray, soft_outputs: SoftOutputs) -> CamEntry:
    """Scores of the present `classes` from probabilities (K+1,H,W), at half the size, as activation maps."""
    small = grids.resize(probability, tuple(max(1, side // 2) for side in probability.shape[1:]))
    return CamEntry(score(small, soft_outputs)[classes], classes, NO_NORM, NO_FEATURES)


@dataclass(frozen=True)
class Refinement:
    """Refine one image's stored scores; with `disputed_ignored`, pixels where the network disagrees become 255."""

    refine: Refine
    images: zips.Images
    segments: zips.Segments
    scores: activations.Cams
    disputed_ignored: bool

    def __call__(self, image_id: str) -> np.ndarray:
        """Mask (H,W) uint8 of class ids."""
        entry, image = self.scores.cams(image_id), self.images.image(image_id)
        segments = self.segments.segments(image_id)
        refined = self.refine(entry.scores, image, segments, None, threshold=0.0, decide_all=False)
        if self.disputed_ignored:
            unrefined = grids.decide(grids.resize(entry.scores, image.shape[:2]), 0.0, 0.0)
            refined = grids.ignore_disputed(refined, unrefined)
        return pseudomasks.to_class_ids(refined, entry.classes)


def write_masks(path: Path, ids: Sequence[str], refinement: Refinement, known: Path) -> None:
    """Refine the images' predictions into an archive of masks; `known`: masks from which a killed run goes on."""

    def compute(places: list[int]) -> Iterator[Record]:
        work = workers.ordered(refinement, [ids[place] for place in places])
        for mask in track(work, "refined", len(places)):
            yield Record({}, (zips.png_bytes(mask),))

    keys = [digests.of_parts(image_id.encode()) for image_id in ids]
    with Kept(known) as items, masks.MaskWriter(path) as writer:
        for image_id, record in zip(ids, kept.complete(items, keys, compute), strict=True):
            writer.add_bytes(f"{image_id}.png", record.parts[0])
