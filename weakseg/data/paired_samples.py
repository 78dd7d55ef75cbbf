"""Images with a map of pixel ids beside them (masks, superpixels): read together, augmented together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from weakseg.artifacts.formats.zips import Images
from weakseg.data import grids, samples
from weakseg.data.augment import augment, draw
from weakseg.data.augmentation import Augmentation
from weakseg.data.grids import warp_ids
from weakseg.errors import UserError
from weakseg.harness import device as hardware
from weakseg.harness import processes

Maps = Callable[[str], np.ndarray]


class PairedSamples(Dataset):
    """A sample is (image (3,S,S) uint8, map (S,S) int32, index), both warped; `maps(image_id)` reads (H,W) ids.

    UserError when a map has another size than its image.
    """

    def __init__(self, images: Images, maps: Maps, ids: Sequence[str], size: int) -> None:
        self.images, self.maps, self.ids, self.size = images, maps, list(ids), size

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        name = self.ids[index]
        image, ids = self.images.image(name), self.maps(name)
        if image.shape[:2] != ids.shape:
            raise UserError(
                f"image '{name}' is {image.shape[1]}x{image.shape[0]} and its map {ids.shape[1]}x{ids.shape[0]} pixels:"
                " rerun the stage that writes the map"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(grids.warp(image, self.size))).permute(2, 0, 1)
        return pixels, torch.from_numpy(warp_ids(ids, self.size).astype(np.int32)), index


def shuffled(dataset: PairedSamples, batch_size: int) -> samples.Shuffled:
    """How the samples are read, epoch by epoch; a last, smaller batch is left out unless it is the only one."""
    return samples.Shuffled(dataset, batch_size, drop_last=len(dataset) >= batch_size)


@dataclass(frozen=True)
class Batches:
    """One epoch: (images (B,3,S,S) in [0, 1], maps (B,S,S), indices (B,)), shuffled and augmented by seed and epoch.

    Images and maps lie on the device; `size` is S. `limit` ends it after that many batches. Of processes that work
    together each has its share of every batch.
    """

    reading: samples.Shuffled
    size: int
    augmentation: Augmentation
    seed: int
    limit: int

    def __len__(self) -> int:
        return min(self.limit, len(self.reading))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        generator, device = torch.Generator().manual_seed(self.seed), hardware.pick()
        for (images, maps, indices), whole in islice(self.reading.epoch(self.seed), self.limit):
            pixels, moved = samples.to_floats(hardware.send(images, device)), hardware.send(maps, device)
            draws = draw(self.augmentation, len(whole), generator)[processes.share(len(whole))]
            yield *augment(pixels, moved, self.size, draws), indices
