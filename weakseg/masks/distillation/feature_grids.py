"""Feature grids of every image at some levels of a classifier, on disk, averaged over the two mirror images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from weakseg.data import samples
from weakseg.harness import device, files, memory, progress
from weakseg.harness.kept import Record
from weakseg.masks.distillation.recipe import Reading
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen.once import Stored


def average_mirrored(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """Features (B,C,h,w) by level, averaged over the images (B,3,S,S) and their mirror images, turned back."""
    views = images, images.flip(3)
    return average_views(*(levels.read(classifier, view, wanted) for view in views))


def average_views(plain: dict[int, Tensor], mirrored: dict[int, Tensor]) -> dict[int, Tensor]:
    """Features (B,C,h,w) by level of images, averaged with those of their mirror images, turned back."""
    return {level: (plain[level].float() + mirrored[level].flip(3).float()) / 2 for level in plain}


@torch.inference_mode()
def compute_means(
    classifier: Classifier, images: samples.ImageSamples, reading: Reading, wanted: Iterable[int]
) -> Iterator[dict[int, Tensor]]:
    """Averaged features of each batch of images, by level, computed on the classifier's device."""
    place = levels.locate(classifier)
    classifier = classifier.to(memory_format=torch.channels_last).eval()
    total = -(-len(images) // reading.batch_size)
    for batch, names in progress.track(samples.batches(images, reading.batch_size), "features", total):

        def compute(rows: slice, batch: Tensor = batch) -> dict[int, Tensor]:
            with device.autocast(reading.precision):
                pixels = batch[rows].to(place, memory_format=torch.channels_last)  # (B,3,S,S)
                return average_mirrored(classifier, pixels, wanted)

        parts = memory.in_parts(compute, len(names))
        yield {level: torch.cat([part[level] for part in parts]) for level in parts[0]}


@torch.inference_mode()
def read_means(stored: Stored, reader: samples.Reader, wanted: Iterable[int]) -> Iterator[dict[int, Tensor]]:
    """The same from features that a frozen network left: no image is read, and no block but the last may run."""
    starts = range(0, len(reader.ids), reader.batch_size)
    for start in progress.track(starts, "features"):
        names = reader.ids[start : start + reader.batch_size]
        with device.autocast(reader.precision):
            yield average_views(*(stored.cells(names, mirrored, wanted) for mirrored in (False, True)))


def store_on_grid(features: Tensor, grid: tuple[int, int] | None) -> np.ndarray:
    """(B,C,h,w) as float16; on `grid`, where one is given: averaged where it is finer, bilinear where it is coarser."""
    if grid is not None and features.shape[2] > grid[0] and features.shape[3] > grid[1]:
        features = functional.adaptive_avg_pool2d(features, grid)
    elif grid is not None:
        features = functional.interpolate(features, grid, mode="bilinear", align_corners=False)
    return features.cpu().numpy().astype(np.float16)


def to_records(
    means: Iterable[dict[int, Tensor]], wanted: Iterable[int], grid: tuple[int, int] | None
) -> Iterator[Record]:
    """One record an image from batches of features by level, levels in the order of `wanted`; on `grid` if given."""
    wanted = list(wanted)
    for batch in means:
        stacks = [store_on_grid(batch[level], grid) for level in wanted]  # (B,C,h,w) a level
        shapes = [stack.shape[1:] for stack in stacks]
        for row in range(len(stacks[0])):
            yield Record({"shapes": shapes}, tuple(stack[row].tobytes() for stack in stacks))


class Grids:
    """One memory-mapped file (N,C,h,w) float16 a level in `folder`; a level is the number of blocks passed."""

    def __init__(self, folder: Path, wanted: Iterable[int]) -> None:
        self.paths = {level: folder / f"level{level}.npy" for level in sorted(wanted)}

    def load(self, level: int) -> np.ndarray:
        """Read-only map (N,C,h,w) of a level."""
        return np.load(self.paths[level], mmap_mode="r")

    def write(self, records: Iterable[Record], count: int) -> None:
        """Write the features of `count` images, levels in the order of `paths`; each file appears when it is whole."""
        maps: dict[int, np.memmap] = {}
        for place, record in enumerate(records):
            for level, part, shape in zip(self.paths, record.parts, record.facts["shapes"], strict=True):
                if level not in maps:
                    maps[level] = self._create(level, (count, *shape))
                maps[level][place] = np.frombuffer(part, np.float16).reshape(shape)
        for level, path in self.paths.items():
            maps[level].flush()
            path.with_suffix(".partial").rename(path)

    def _create(self, level: int, shape: tuple[int, ...]) -> np.memmap:
        path = self.paths[level].with_suffix(".partial")
        created = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        files.reserve(path)
        return created

    def remove(self) -> None:
        """Remove the files, which hold no more than what they were written from."""
        for path in self.paths.values():
            path.unlink()
