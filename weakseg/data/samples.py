"""Images from the archive to batches, in an order that a seed and an epoch fix."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from weakseg.artifacts.formats.zips import Images
from weakseg.data.grids import crop_center, warp
from weakseg.errors import UserError
from weakseg.harness import processes, workers
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
    """Images warped to (3,size,size), normalized with mean and std; a sample is (image, index).

    crop: of each image the centered square of this share of its shorter side alone; 0 for all of it.
    """

    def __init__(
        self, images: Images, ids: Sequence[str], size: int, normalize: Normalization, crop: float = 0.0
    ) -> None:
        self.images, self.ids, self.size, self.crop = images, list(ids), size, crop
        self.mean, self.std = (torch.tensor(list(value)).view(3, 1, 1) for value in normalize)

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, places: Sequence[int]) -> ImageSamples:
        """The same, of the images at some places alone."""
        fewer = copy.copy(self)
        fewer.ids = [self.ids[place] for place in places]
        return fewer

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.images.image(self.ids[index])
        image = to_tensor(warp(crop_center(pixels, self.crop) if self.crop else pixels, self.size))
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


class _Shares:
    """Of each batch of rows the part that is this process's; the whole ones wait in `drawn`."""

    def __init__(self, whole: Iterable[list[int]]) -> None:
        self.whole = whole
        self.drawn: deque[list[int]] = deque()

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.whole:
            if len(rows) < processes.count():
                raise UserError(
                    f"{processes.count()} processes for a batch of {len(rows)} images: use no more processes than"
                    " batch_size, and than there are images to train on"
                )
            self.drawn.append(rows)
            yield rows[processes.share(len(rows))]


def shared(whole: DataLoader) -> Iterator[tuple[Any, Tensor]]:
    """Batches, each with its rows in the dataset; of processes that work together each reads its share of them alone.

    The order is that of one process, and the rows are those of the whole batch. UserError where a batch has fewer
    images than there are processes.
    """
    if processes.count() == 1:
        for batch in whole:
            yield batch, batch[-1]
        return
    shares = _Shares(whole.batch_sampler or ())
    own = DataLoader(whole.dataset, batch_sampler=shares, generator=whole.generator, num_workers=whole.num_workers)
    for batch in own:
        yield batch, torch.tensor(shares.drawn.popleft())


def batches(samples: ImageSamples, batch_size: int, description: str = "") -> Iterator[tuple[Tensor, list[str]]]:
    """(images (B,3,S,S), their ids) in listing order, for inference; with a description behind a progress bar."""
    items = loader(samples, batch_size)
    total = math.ceil(len(samples) / batch_size)
    for images, indices in track(items, description, total) if description else items:
        yield images, [samples.ids[index] for index in indices.tolist()]


@dataclass(frozen=True)
class Reader:
    """What a network is shown outside of training: which images, warped to which side, how many at once, how precisely.

    size in pixels; precision is that of the network's forward pass; crop as of `ImageSamples`.
    """

    images: Images
    ids: Sequence[str]
    size: int
    batch_size: int
    precision: Precision
    crop: float = 0.0

    def batches(self, description: str, normalize: Normalization = PLAIN) -> Iterator[tuple[Tensor, list[str]]]:
        """(images (B,3,S,S), their ids) in listing order, normalized with mean and std."""
        dataset = ImageSamples(self.images, self.ids, self.size, normalize, self.crop)
        return batches(dataset, self.batch_size, description)
