"""Segment every image into SLIC superpixels, once.

reads   images.zip, labels.csv
writes  superpixels.zip
scores  mean number of superpixels an image
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import load_labels
from weakseg.harness import workers
from weakseg.harness.params import StageParams
from weakseg.harness.progress import track
from weakseg.harness.stage import Outcome, run
from weakseg.masks import superpixels


class Params(StageParams):
    count: int  # superpixels aimed at in an image
    compactness: float  # weight of position against color (Lab); higher is squarer
    longest: int  # pixels; larger images are segmented at this longer side


def segment(image_id: str, images: zips.Images, params: Params) -> np.ndarray:
    """Superpixels of one image."""
    return superpixels.slic(images.image(image_id), **params.model_dump())


def main(params: Params, *, images: Path, labels: Path, out: Path) -> Outcome:
    ids = list(load_labels(labels).index)
    work = workers.ordered(partial(segment, images=zips.Images(images), params=params), ids)
    counts = []
    with zips.SegmentsWriter(out) as writer:
        for image_id, segments in zip(ids, track(work, "superpixels", len(ids)), strict=True):
            writer.add(image_id, segments)
            counts.append(int(segments.max()) + 1)
    return Outcome(scores={"images": len(counts), "superpixels_mean": float(np.mean(counts))})


if __name__ == "__main__":
    run(main, torch=False)
