"""Superpixels beside scikit-image's SLIC called directly, on colored noise at the sizes of photographs.

    python -m benchmarks.superpixels

What is added to SLIC: a bound on the size of what it sees, ids without gaps, and their enlargement.
"""

from __future__ import annotations

import argparse
from functools import partial

import cv2
import numpy as np
from skimage.segmentation import slic as skimage_slic

from benchmarks import timing
from weakseg.masks import superpixels

COUNT, COMPACTNESS, LONGEST = 200, 10.0, 512
SIZES = ((96, 96), (375, 500), (1200, 1600))


def draw(shape: tuple[int, int]) -> np.ndarray:
    """Smooth colored noise (H,W,3) uint8."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for shape in SIZES:
        image = draw(shape)
        work = {
            "skimage.slic": partial(
                skimage_slic, image, n_segments=COUNT, compactness=COMPACTNESS, start_label=0, channel_axis=-1
            ),
            "weakseg": partial(superpixels.slic, image, count=COUNT, compactness=COMPACTNESS, longest=LONGEST),
        }
        print(f"\n{shape[1]} x {shape[0]} pixels, {rounds} rounds, CPU seconds an image\n")
        print(timing.tabulate(timing.measure(work, rounds), "skimage.slic"))


if __name__ == "__main__":
    main()
