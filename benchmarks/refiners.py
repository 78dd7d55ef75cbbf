"""Every refiner on the same scores: mean IoU on true masks, share ignored, CPU time an image, and peak memory.

python -m benchmarks.refiners quality --cams data/distilled/mobilenet --images data/images
    --superpixels data/superpixels --masks data/truth/masks --labels data/labels.csv --split train --every 3
python -m benchmarks.refiners memory             peak of each refiner on one 2,000-pixel image
True masks only score; they choose nothing. The options below are those of params.yaml where it has them.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.evaluation.masks import confusion
from weakseg.harness import choices
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks, superpixels

PIXELS = {"longest": 256}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "threshold": ("threshold", {"band": 0.0}),
    "superpixel_vote": ("superpixel_vote", {"band": 0.0, "radius": 2}),
    "region_grow": (
        "region_grow",
        {"rounds": 5, "strictness": 0.5, "relaxation": 0.05, "lowest": 0.1, "highest": 0.9, "certain": 0.0},
    ),
    "dsrg": ("dsrg", {"foreground": 0.85, "background": 0.99, "seed": 0.98, **PIXELS}),
    "random_walk": ("random_walk", {"band": 0.0, "restart": 0.1, "color": 1.0, "feature": 1.0, **PIXELS}),
    "random_walk, color alone": ("random_walk", {"band": 0.0, "restart": 0.1, "color": 1.0, "feature": 0.0, **PIXELS}),
    "guided_filter": ("guided_filter", {"band": 0.0, "radius": 16, "smoothness": 1e-3, **PIXELS}),
    "pixel_adaptive": (
        "pixel_adaptive",
        {"band": 0.0, "iterations": 10, "dilations": [1, 2, 4, 8, 12, 24], "sharpness": 10.0, "longest": 128},
    ),
    "ridge": ("ridge", {"band": 0.0, "penalty": 0.01, "longest": 32}),
    "grabcut, 128 pixels": ("grabcut", {"certain": 2.0, "iterations": 1, "smallest": 50, "longest": 128}),
    "grabcut": ("grabcut", {"certain": 2.0, "iterations": 1, "smallest": 50, **PIXELS}),
    "grabcut, 3 iterations": ("grabcut", {"certain": 2.0, "iterations": 3, "smallest": 50, **PIXELS}),
    "ridge_grabcut": (
        "ridge_grabcut",
        {"penalty": 0.01, "grid": 32, "certain": 2.0, "iterations": 1, "smallest": 50, **PIXELS},
    ),
}


def row(name: str, counts: np.ndarray, seconds: float, images: int) -> str:
    """One line of the table from counts (3,3): mean IoU, precision and recall of decided pixels, ignored, time."""
    decided = counts[:2, :2]
    iou = np.diag(decided) / (decided.sum(0) + decided.sum(1) - np.diag(decided))
    precision, recall = decided[1, 1] / decided[:, 1].sum(), decided[1, 1] / decided[1].sum()
    ignored = counts[:2, 2].sum() / counts[:2].sum()
    shares = " | ".join(f"{100 * value:.1f}" for value in (iou.mean(), precision, recall, ignored))
    return f"| {name} | {shares} | {1000 * seconds / images:.1f} |"


def quality(arguments: argparse.Namespace) -> None:
    """Print the table of mean IoU (foreground against background, border ignored, all images together) and time."""
    cams, images, masks = activations.Cams(arguments.cams), zips.Images(arguments.images), Masks(arguments.masks)
    segments, frame = zips.Segments(arguments.superpixels), labels.load_labels(arguments.labels)
    ids = [name for name in frame.index[frame["split"] == arguments.split] if name in masks][:: arguments.every]
    totals = {name: np.zeros((3, 3), np.int64) for name in OPTIONS}
    seconds = dict.fromkeys(OPTIONS, 0.0)
    cv2.setNumThreads(1)
    for image_id in track(ids, "images"):
        entry, truth = cams.cams(image_id), masks.mask(image_id)
        inputs = entry.scores, images.image(image_id), segments.segments(image_id), entry.features
        for name, (refiner, options) in OPTIONS.items():
            refine = choices.load("refiners", refiner).refine
            start = time.process_time()
            found = refine(*inputs, threshold=0.0, decide_all=False, **options)
            seconds[name] += time.process_time() - start
            predicted, true = (np.where(mask == 255, 255, mask > 0).astype(np.uint8) for mask in (found, truth))
            totals[name] += confusion.count_pairs(predicted, true, classes=2)
    print(f"{len(ids)} images of {arguments.split}\n")
    print("| refiner | mean IoU | precision | recall | ignored % | ms an image |\n|---|---|---|---|---|---|")
    for name, counts in totals.items():
        print(row(name, counts, seconds[name], len(ids)))


def memory(arguments: argparse.Namespace) -> None:
    """Print the peak of what each refiner allocates on one image of 2,000 x 1,500 pixels with three classes."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), (2000, 1500))
    segments = superpixels.slic(image, count=500, compactness=10.0, longest=256)
    maps = cv2.resize(rng.normal(size=(6, 8, 3)).astype(np.float32), (16, 16)).transpose(2, 0, 1) * pseudomasks.UNIT
    features = rng.normal(size=(32, 32, 32)).astype(np.float32)
    print(f"| refiner | peak MiB beside the image's {image.nbytes / 2**20:.0f} | seconds |\n|---|---|---|")
    for name, (refiner, options) in OPTIONS.items():
        tracemalloc.start()
        start = time.process_time()
        refine = choices.load("refiners", refiner).refine
        refine(maps, image, segments, features, threshold=0.0, decide_all=False, **options)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"| {name} | {peak / 2**20:.0f} | {seconds:.2f} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    table = commands.add_parser("quality")
    for name in ("cams", "images", "superpixels", "masks", "labels"):
        table.add_argument(f"--{name}", type=Path, required=True)
    table.add_argument("--split", default="train")
    table.add_argument("--every", type=int, default=1)
    table.set_defaults(function=quality)
    commands.add_parser("memory").set_defaults(function=memory)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
