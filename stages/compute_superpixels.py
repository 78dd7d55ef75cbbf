"""Segment every image into SLIC superpixels, once.

reads   images, labels.csv
writes  superpixels
scores  mean number of superpixels an image
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import load_labels
from weakseg.harness import digests, kept, resume, workers
from weakseg.harness.kept import Record
from weakseg.harness.params import StageParams
from weakseg.harness.progress import track
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.masks import superpixels


class Params(StageParams):
    count: int  # superpixels aimed at in an image
    compactness: float  # weight of position against color (Lab); higher is squarer
    longest: int  # pixels; larger images are segmented at this longer side


def segment(image_id: str, images: zips.Images, params: Params) -> Record:
    """Superpixels of one image, and how many they are."""
    segments = superpixels.slic(images.image(image_id), **params.model_dump())
    return Record({"count": int(segments.max()) + 1}, (zips.png_bytes(segments),))


def main(params: Params, *, images: Path, labels: Path, out: Path) -> Outcome:
    ids, archive = list(load_labels(labels).index), zips.Images(images)
    keys = [digests.of_parts(archive.read(image_id)) for image_id in ids]

    def compute(places: list[int]) -> Iterator[Record]:
        work = workers.ordered(partial(segment, images=archive, params=params), [ids[place] for place in places])
        return track(work, "superpixels", len(places))

    counts = []
    with resume.kept(__file__, params.model_dump()) as items, zips.SegmentsWriter(out) as writer:
        for image_id, record in zip(ids, kept.complete(items, keys, compute, last=True), strict=True):
            writer.add_bytes(f"{image_id}.png", record.parts[0])
            counts.append(record.facts["count"])
    return Outcome(scores={"images": len(counts), "superpixels_mean": float(np.mean(counts))})


if __name__ == "__main__":
    run(main, torch=False, shared=Shared(["out"], devices=False))
