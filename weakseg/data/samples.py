"""Images from the archive to batches, in an order that a seed and an epoch fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from weakseg.artifacts.zips import Images
from weakseg.data.grids import warp
from weakseg.harness import workers

PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # mean and std that leave images as they are, in [0, 1]


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """(H,W,3) uint8 to (3,H,W) float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)


class ImageSamples(Dataset):
    """Images warped to (3,size,size), normalized with mean and std; a sample is (image, index)."""

    def __init__(
        self,
        images: Images,
        ids: Sequence[str],
        size: int,
        normalize: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        self.images, self.ids, self.size = images, list(ids), size
        self.mean, self.std = (torch.tensor(list(value)).view(3, 1, 1) for value in normalize)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
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


def batches(samples: ImageSamples, batch_size: int) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """(images (B,3,S,S), their ids) in listing order, for inference."""
    for images, indices in loader(samples, batch_size):
        yield images, [samples.ids[index] for index in indices.tolist()]
