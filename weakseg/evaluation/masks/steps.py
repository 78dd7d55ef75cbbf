"""The steps from activation map to segmenter, each as a stream of masks; and what needs no model at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.truth import TrueMasks
from weakseg.data import grids
from weakseg.data.samples import Reader
from weakseg.evaluation.masks.class_maps import ClassMaps
from weakseg.harness import device
from weakseg.harness.device import Precision
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.thresholds import otsu
from weakseg.networks.segmentation import predict, saved_segmenter


@dataclass(frozen=True)
class StepMask:
    """One image's mask (H, W) uint8 at one step, and the activation (H, W) in [0, 1] behind it, if any."""

    mask: np.ndarray
    activation: np.ndarray | None = None


NameId = Callable[[str], int]  # mask id of the one kind of foreground that a baseline gives an image


class Step(Protocol):
    """One way to masks."""

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield the mask of each image, in order."""


@dataclass(frozen=True)
class ConstantMasks:
    """The trivial masks that are one id everywhere, which `name_id` gives for each image."""

    truth: TrueMasks
    name_id: NameId

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield the same id everywhere."""
        for name in ids:
            yield StepMask(np.full(self.truth.shape(name), self.name_id(name), np.uint8))


@dataclass(frozen=True)
class CenterGaussian:
    """A Gaussian in the middle of each image, of `sigma` times each side, cut at Otsu's threshold.

    Its foreground has the mask id that `name_id` gives for the image.
    """

    truth: TrueMasks
    sigma: float
    tails: float
    name_id: NameId

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield the foreground around the middle."""
        for name in ids:
            rows, columns = (self._profile(side) for side in self.truth.shape(name))
            activation = grids.minmax(np.outer(rows, columns)[None])[0]  # (H, W)
            inside = activation > otsu.threshold(activation, self.tails)
            yield StepMask(inside.astype(np.uint8) * np.uint8(self.name_id(name)), activation)

    def _profile(self, side: int) -> np.ndarray:
        """The Gaussian along one side, at the centers of its pixels."""
        return np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * self.sigma**2))


@dataclass(frozen=True)
class ThresholdedMaps:
    """Stored maps cut at `threshold`; None: at Otsu's threshold of each image's highest values."""

    truth: TrueMasks
    maps: ClassMaps
    threshold: float | None
    tails: float

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield the classes of the maps above the threshold; an image without a map is background."""
        for name in track(ids, f"maps of {self.maps.archive.path}"):
            maps, classes = self.maps.read(name)  # (K,h,w), (K,)
            if len(maps) == 0:
                yield StepMask(np.zeros(self.truth.shape(name), np.uint8))
                continue
            large = grids.resize(maps, self.truth.shape(name))  # (K,H,W)
            cut = otsu.threshold(maps.max(0), self.tails) if self.threshold is None else self.threshold
            mask = pseudomasks.to_class_ids(grids.decide(large, cut, 0.0), classes)  # (H,W)
            yield StepMask(mask, grids.minmax(large.max(0, keepdims=True))[0])


@dataclass(frozen=True)
class StoredMasks:
    """Masks as an archive holds them."""

    archive: masks.Masks

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield each image's entry."""
        for name in track(ids, f"masks of {self.archive.path}"):
            yield StepMask(self.archive.mask(name))


@dataclass(frozen=True)
class SegmenterMasks:
    """Masks of a saved segmenter, predicted at the size, scales and flips its header tells, at the images' size."""

    truth: TrueMasks
    images: zips.Images
    path: Path
    batch_size: int
    precision: Precision

    def stream(self, ids: Sequence[str]) -> Iterator[StepMask]:
        """Yield what the network predicts; the activation is the probability of any foreground."""
        network, header = saved_segmenter.load(self.path)
        reader = Reader(self.images, ids, header.test_size, self.batch_size, self.precision)
        stream = predict.stream(network.to(device.pick()), reader, header.copies, self.path.stem)
        for name, probabilities in stream:  # (classes,h,w)
            shape = self.truth.shape(name)
            activation = 1 - grids.resize(probabilities[:1], shape)[0]  # (H,W)
            yield StepMask(predict.to_mask(probabilities, shape), activation)
