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
from typing import Literal

import numpy as np
import pandas as pd

from weakseg.artifacts import activations
from weakseg.artifacts.activations import CamEntry
from weakseg.artifacts.formats import masks, zips
from weakseg.data import grids
from weakseg.harness import workers
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.contracts import Refine
from weakseg.training.recipes.segmenter import SoftOutputs

SMALLEST = 1e-4  # probability below which a prediction's log-odds are cut
Verdict = Literal["converged", "departed", "on"]

NO_NORM, NO_FEATURES = np.zeros((1, 1), np.float32), np.zeros((0, 1, 1), np.float32)


def present_classes(frame: pd.DataFrame, names: Sequence[str], binary: bool) -> dict[str, np.ndarray]:
    """Indices of the classes each image's label names, in order; (0,) for every image where there is one foreground."""
    if binary:
        return dict.fromkeys(frame.index, np.zeros(1, np.int64))
    index = {name: number for number, name in enumerate(names)}
    return {
        str(row): np.array(sorted(index[name] for name in labels), np.int64) for row, labels in frame["labels"].items()
    }


def score(probability: np.ndarray, soft_outputs: SoftOutputs) -> np.ndarray:
    """Scores (K,h,w) of probabilities (K+1,h,w), above 0 where a class beats the background.

    log_odds: log(p_k / p_0), in the unit of hard seeds and bands. probabilities: p_k - p_0, in [-1, 1], whose mean over
    a superpixel is above 0 just where the class wins the mean soft output, as published for system (3).
    """
    if soft_outputs == "log_odds":
        return pseudomasks.log_odds(probability, SMALLEST)
    return (probability[1:] - probability[:1]).astype(np.float32)


def write_scores(
    path: Path,
    predictions: Iterator[tuple[str, np.ndarray]],
    present: dict[str, np.ndarray],
    soft_outputs: SoftOutputs,
) -> None:
    """Store the present classes' scores of every image, in the form of activation maps."""
    with activations.CamsWriter(path) as writer:
        for image_id, probability in predictions:
            classes = present[image_id]
            small = grids.resize(probability, tuple(max(1, side // 2) for side in probability.shape[1:]))
            scores = score(small, soft_outputs)[classes]
            writer.add(image_id, CamEntry(scores, classes, NO_NORM, NO_FEATURES))


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


def write_masks(path: Path, ids: Sequence[str], refinement: Refinement) -> None:
    """Refine the images' predictions into an archive of masks."""
    with masks.MaskWriter(path) as writer:
        work = track(workers.ordered(refinement, ids), "refined", len(ids))
        for image_id, mask in zip(ids, work, strict=True):
            writer.add(image_id, mask)


def agreement(first: Iterator[tuple[str, np.ndarray]], second: Iterator[tuple[str, np.ndarray]]) -> float:
    """Foreground IoU of two networks' predictions (C,h,w) over the same images; 1 where neither finds anything."""
    both = either = 0
    for (_, one), (_, other) in zip(first, second, strict=True):
        front, back = one.argmax(0) > 0, other.argmax(0) > 0
        both += int((front & back).sum())
        either += int((front | back).sum())
    return both / either if either else 1.0


def judge(agreement: float, converged: float, departed: float) -> Verdict:
    """Whether to go on: "converged" from that agreement on, "departed" below the other, else "on"."""
    if agreement < departed:
        return "departed"
    return "converged" if agreement >= converged else "on"
