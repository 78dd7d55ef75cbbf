"""Scores of one step's masks for as many images as Oxford-IIIT Pet tests on, under every protocol.

    python -m benchmarks.evaluation                 3,669 pairs of drawn masks; a minute is the aim

Beside it one table of counts an image by `numpy.bincount`, the least that any mean IoU takes. Reading files, predicting
and drawing pictures is part of neither.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from weakseg.evaluation.masks.measurement import Measurement
from weakseg.evaluation.masks.recipe import MaskProtocol
from weakseg.evaluation.masks.steps import StepMask

SHAPES = ((375, 500), (500, 375), (333, 500), (500, 500), (225, 300), (400, 600))  # common ones in the data set
PROTOCOL = MaskProtocol(seed=0, square=256, protocol_batch=32, replicates=500, tolerance=0.008)
BORDER = 255
Pair = tuple[np.ndarray, np.ndarray, np.ndarray]  # activation (H,W) in [0, 1], prediction and truth (H,W) uint8


def draw(number: int, classes: int) -> Pair:
    """An ellipse with a border of ignored pixels, what is predicted of it, and the activation behind that."""
    generator = np.random.default_rng(number)
    height, width = SHAPES[number % len(SHAPES)]
    middle, axes = (width // 2, height // 2), (int(width * 0.3), int(height * 0.35))
    kind = 1 + number % classes
    truth = np.zeros((height, width), np.uint8)
    cv2.ellipse(truth, middle, axes, 20, 0, 360, kind, -1)
    cv2.ellipse(truth, middle, axes, 20, 0, 360, BORDER, 6)
    coarse = cv2.resize((truth == kind).astype(np.float32), (24, 24), interpolation=cv2.INTER_AREA)
    noisy = np.clip(coarse + 0.2 * generator.standard_normal(coarse.shape), 0, 1).astype(np.float32)
    activation = cv2.resize(noisy, (width, height), interpolation=cv2.INTER_LINEAR)
    return activation, ((activation > 0.5) * kind).astype(np.uint8), truth


def score(pairs: Iterator[Pair], classes: int) -> float:
    """Mean IoU, and all else that `evaluate_masks` has in a step's row."""
    meter = Measurement(classes, PROTOCOL)
    for activation, prediction, truth in pairs:
        height, width = truth.shape
        heads = np.array([[0.3 * width, 0.2 * height, 0.6 * width, 0.5 * height]])
        meter.add(StepMask(prediction, activation), truth, heads)
    return meter.row()["miou"]


def count(pairs: Iterator[Pair], classes: int) -> float:
    """Mean IoU of the data set, its border ignored, and nothing else."""
    total = np.zeros((classes + 1) ** 2, np.int64)
    for _, prediction, truth in pairs:
        kept = truth != BORDER
        total += np.bincount(truth[kept].astype(np.int64) * (classes + 1) + prediction[kept], minlength=len(total))
    table = total.reshape(classes + 1, classes + 1)
    return float(np.mean(np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))))


def measure(work: Callable[[Iterator[Pair], int], float], images: int, classes: int) -> tuple[float, float]:
    """CPU seconds without the drawing, and the mean IoU."""
    spent = 0.0

    def draw_all() -> Iterator[Pair]:
        nonlocal spent
        for number in range(images):
            start = time.process_time()
            pair = draw(number, classes)
            spent += time.process_time() - start
            yield pair

    start = time.process_time()
    found = work(draw_all(), classes)
    return time.process_time() - start - spent, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3669)
    images = parser.parse_args().images
    print(f"{images} images of the data set's common sizes, CPU seconds\n")
    print("| kinds of foreground | every protocol | one table of counts | ratio | same mean IoU |")
    print("|---|---|---|---|---|")
    for classes in (1, 37):
        (full, one), (least, other) = (measure(work, images, classes) for work in (score, count))
        print(f"| {classes} | {full:.1f} | {least:.1f} | {full / least:.1f} | {abs(one - other) < 1e-12} |")


if __name__ == "__main__":
    main()
