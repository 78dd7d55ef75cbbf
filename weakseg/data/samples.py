"""Images from the archive to batches, in an order that a seed and an epoch fix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from weakseg.artifacts.zips import Images
from weakseg.data.grids import warp
from weakseg.harness import workers
from weakseg.harness.device import Precision
from weakseg.harness.progress import track

Normalization = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of each channel

PLAIN: Normalization = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # leaves images as they are, in [0, 1]


def to_tensor(image: np.ndarray) -> Tensor:
    """(H,W,3) uint8 to (3,H,W) float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)


def derive_seed(seed: int, number: int) -> int:
    """One seed for each epoch or batch of a run, apart from those of a run with another seed."""
    return 1_000_003 * seed + number


class ImageSamples(Dataset):
    """Images warped to (3,size,size), normalized with mean and std; a sample is (image, index)."""

    def __init__(self, images: Images, ids: Sequence[str], size: int, normalize: Normalization) -> None:
        self.images, self.ids, self.size = images, list(ids), size
        self.mean, self.std = (torch.tensor(list(value)).view(3, 1, 1) for value in normalize)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = to_tensor(warp(self.images.image(self.ids[index]), self.size))
        return (image - self.mean) / self.std, index


def loader(
    samples: Dataset, batch_size: int, *, shuffle_seed: int | None = None, drop_last: bool = False
) -> DataLoader:
    """Batches in listing order, or in the order `shuffle_seed` gives; the order never depends on workers."""
    generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    return DataLoader(
        samples,
        batch_size,
        shuffle=generator is not None,
        generator=generator,
        drop_last=drop_last,
        num_workers=workers.workers(),
    )


def batches(samples: ImageSamples, batch_size: int, description: str = "") -> Iterator[tuple[Tensor, list[str]]]:
    """(images (B,3,S,S), their ids) in listing order, for inference; with a description behind a progress bar."""
    items = loader(samples, batch_size)
    total = math.ceil(len(samples) / batch_size)
    for images, indices in track(items, description, total) if description else items:
        yield images, [samples.ids[index] for index in indices.tolist()]


@dataclass(frozen=True)
class Reader:
    """What a network is shown outside of training: which images, warped to which side, how many at once, how precisely.

    size in pixels; precision is that of the network's forward pass.
    """

    images: Images
    ids: Sequence[str]
    size: int
    batch_size: int
    precision: Precision

    def batches(self, description: str, normalize: Normalization = PLAIN) -> Iterator[tuple[Tensor, list[str]]]:
        """(images (B,3,S,S), their ids) in listing order, normalized with mean and std."""
        dataset = ImageSamples(self.images, self.ids, self.size, normalize)
        return batches(dataset, self.batch_size, description)
