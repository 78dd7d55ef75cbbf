"""Feature grids of every image at some levels of a classifier, on disk, averaged over the two mirror images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from weakseg.data import samples
from weakseg.harness import device, progress
from weakseg.masks.distillation.recipe import Reading
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier


def average_mirrored(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """Features (B,C,h,w) by level, averaged over the images (B,3,S,S) and their mirror images, turned back."""
    plain = levels.outputs(classifier, images, wanted)
    mirrored = levels.outputs(classifier, images.flip(3), wanted)
    return {level: (plain[level].float() + mirrored[level].flip(3).float()) / 2 for level in plain}


def store_on_grid(features: Tensor, grid: tuple[int, int] | None) -> np.ndarray:
    """(B,C,h,w) as float16; on `grid`, where one is given: averaged where it is finer, bilinear where it is coarser."""
    if grid is not None and features.shape[2] > grid[0] and features.shape[3] > grid[1]:
        features = functional.adaptive_avg_pool2d(features, grid)
    elif grid is not None:
        features = functional.interpolate(features, grid, mode="bilinear", align_corners=False)
    return features.cpu().numpy().astype(np.float16)


class Grids:
    """One memory-mapped file (N,C,h,w) float16 a level in `folder`; a level is the number of blocks passed."""

    def __init__(self, folder: Path, wanted: Iterable[int]) -> None:
        self.paths = {level: folder / f"level{level}.npy" for level in sorted(wanted)}

    def whole(self) -> bool:
        """Whether an earlier run wrote everything."""
        return all(path.exists() for path in self.paths.values())

    def load(self, level: int) -> np.ndarray:
        """Read-only map (N,C,h,w) of a level."""
        return np.load(self.paths[level], mmap_mode="r")

    @torch.inference_mode()
    def write(
        self, classifier: Classifier, images: samples.ImageSamples, reading: Reading, grid: tuple[int, int] | None
    ) -> None:
        """Run all images through the classifier once, on its device; on `grid` where one is given."""
        maps: dict[int, np.memmap] = {}
        start, place = 0, levels.locate(classifier)
        classifier = classifier.to(memory_format=torch.channels_last).eval()
        total = -(-len(images) // reading.batch_size)
        for batch, _ in progress.track(samples.batches(images, reading.batch_size), "features", total):
            with device.autocast(reading.precision):
                pixels = batch.to(place, memory_format=torch.channels_last)  # (B,3,S,S)
                means = average_mirrored(classifier, pixels, self.paths)
            for level, features in means.items():
                values = store_on_grid(features, grid)  # (B,C,h,w)
                if level not in maps:
                    maps[level] = self._create(level, (len(images), *values.shape[1:]))
                maps[level][start : start + len(values)] = values
            start += len(batch)
        for level, path in self.paths.items():
            maps[level].flush()
            path.with_suffix(".partial").rename(path)

    def _create(self, level: int, shape: tuple[int, ...]) -> np.memmap:
        path = self.paths[level].with_suffix(".partial")
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
