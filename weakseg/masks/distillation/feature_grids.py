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
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier


def mirrored_mean(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """Features (B,C,h,w) by level, averaged over the images (B,3,S,S) and their mirror images, turned back."""
    plain = levels.outputs(classifier, images, wanted)
    mirrored = levels.outputs(classifier, images.flip(3), wanted)
    return {level: (plain[level].float() + mirrored[level].flip(3).float()) / 2 for level in plain}


def on_grid(features: Tensor, grid: tuple[int, int] | None) -> np.ndarray:
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
        self,
        classifier: Classifier,
        images: samples.ImageSamples,
        *,
        batch_size: int,
        precision: str,
        grid: tuple[int, int] | None,
    ) -> None:
        """Run all images through the classifier once; on `grid` where one is given."""
        target, maps, start = device.pick(), {}, 0
        classifier = classifier.to(target, memory_format=torch.channels_last).eval()
        total = -(-len(images) // batch_size)
        for batch, _ in progress.track(samples.batches(images, batch_size), "features", total):
            with device.autocast(precision):
                found = mirrored_mean(classifier, batch.to(target, memory_format=torch.channels_last), self.paths)
            for level, features in found.items():
                values = on_grid(features, grid)
                if level not in maps:
                    maps[level] = self._created(level, (len(images), *values.shape[1:]))
                maps[level][start : start + len(values)] = values
            start += len(batch)
        for level, path in self.paths.items():
            maps[level].flush()
            path.with_suffix(".partial").rename(path)

    def _created(self, level: int, shape: tuple[int, ...]) -> np.ndarray:
        path = self.paths[level].with_suffix(".partial")
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
