"""Images from the archive to batches, in an order that a seed and an epoch fix."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from weakseg.artifacts.formats.zips import Images
from weakseg.data.grids import crop_center, warp
from weakseg.errors import UserError
from weakseg.harness import device as hardware
from weakseg.harness import processes, workers
from weakseg.harness.device import Precision
from weakseg.harness.progress import track

Normalization = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of each channel

KEPT = 64_000_000  # bytes of samples that an epoch leaves for the next, where no other process reads ahead
PLAIN: Normalization = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # leaves images as they are, in [0, 1]


def to_tensor(image: np.ndarray) -> Tensor:
    """(H,W,3) uint8 to (3,H,W) float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)


def derive_seed(seed: int, number: int) -> int:
    """One seed for each epoch or batch of a run, apart from those of a run with another seed."""
    return 1_000_003 * seed + number


def to_floats(images: Tensor) -> Tensor:
    """Images (B,3,H,W) uint8 as floats in [0, 1], computed where they lie."""
    return images.float().div_(255)


class ImageSamples(Dataset):
    """Images warped to (3,size,size); a sample is (image uint8, index). `normalize` is what `batches` applies to them.

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
        image = warp(crop_center(pixels, self.crop) if self.crop else pixels, self.size)
        return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1), index


def is_pinned() -> bool:
    """Whether batches are read into pinned memory, from which a CUDA GPU takes them while the program goes on."""
    return hardware.pick().type == "cuda"


class _Remembered(Dataset):
    """Samples of a dataset, tuples of tensors and numbers; as many as fit into KEPT bytes are read and warped once."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.free = dataset, KEPT
        self.known: dict[int, tuple] = {}

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple:
        if index in self.known:
            return self.known[index]
        sample = self.dataset[index]
        size = sum(part.nbytes for part in sample if isinstance(part, Tensor))
        if size <= self.free:
            self.known[index] = sample
            self.free -= size
        return sample


class _Order(Sampler[int]):
    """Places of all items, shuffled by `seed`: the order that a DataLoader with a generator of this seed would give."""

    def __init__(self, count: int) -> None:
        self.count, self.seed = count, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        torch.empty((), dtype=torch.int64).random_(generator=generator)  # which a DataLoader draws for its workers
        yield from torch.randperm(self.count, generator=generator).tolist()


class _Shares:
    """Of each batch of rows the part that is this process's; the whole ones wait in `drawn`."""

    def __init__(self, whole: BatchSampler) -> None:
        self.whole = whole
        self.drawn: deque[list[int]] = deque()

    def __len__(self) -> int:
        return len(self.whole)

    def __iter__(self) -> Iterator[list[int]]:
        self.drawn.clear()
        for rows in self.whole:
            if len(rows) < processes.count():
                raise UserError(
                    f"{processes.count()} processes for a batch of {len(rows)} images: use no more processes than"
                    " batch_size, and than there are images to train on"
                )
            self.drawn.append(rows)
            yield rows[processes.share(len(rows))]


class Shuffled:
    """Batches of a dataset, epoch by epoch; processes that read live as long as this, and read ahead.

    Where there are none, what was read stays in memory as far as KEPT bytes go.
    The order never depends on how many they are. Of processes that work together each reads its share of every batch.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, drop_last: bool) -> None:
        many = workers.workers()
        dataset = dataset if many else _Remembered(dataset)
        self.order = _Order(len(dataset))  # type: ignore[arg-type]
        self.shares = _Shares(BatchSampler(self.order, batch_size, drop_last))
        self.loader = DataLoader(
            dataset,
            batch_sampler=self.shares,
            generator=torch.Generator(),  # so that the program's own draws stay as they are
            num_workers=many,
            persistent_workers=many > 0,
            pin_memory=is_pinned(),
        )

    def __len__(self) -> int:
        return len(self.shares)

    def epoch(self, seed: int) -> Iterator[tuple[Any, Tensor]]:
        """Batches in the order of a seed, each with the rows of the whole batch in the dataset.

        UserError where a batch has fewer images than there are processes.
        """
        self.order.seed = seed
        for batch in self.loader:
            yield batch, torch.tensor(self.shares.drawn.popleft())


def batches(samples: ImageSamples, batch_size: int, description: str = "") -> Iterator[tuple[Tensor, list[str]]]:
    """(images (B,3,S,S), their ids) in listing order, normalized on the device; described, behind a progress bar."""
    items = DataLoader(samples, batch_size, num_workers=workers.workers(), pin_memory=is_pinned())
    place, total = hardware.pick(), math.ceil(len(samples) / batch_size)
    mean, std = samples.mean.to(place), samples.std.to(place)
    for images, indices in track(items, description, total) if description else items:
        yield (to_floats(hardware.send(images, place)) - mean) / std, [samples.ids[index] for index in indices.tolist()]


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
        """(images (B,3,S,S), their ids) in listing order, normalized with mean and std, on the device."""
        dataset = ImageSamples(self.images, self.ids, self.size, normalize, self.crop)
        return batches(dataset, self.batch_size, description)
