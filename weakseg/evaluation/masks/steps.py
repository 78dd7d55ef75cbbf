"""The masks of every step from activation map to segmenter, image by image, beside the true ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weakseg.artifacts import activations, zips
from weakseg.artifacts.truth import TrueMasks
from weakseg.data import grids
from weakseg.evaluation.masks.activation import ThresholdSweep
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.thresholds import otsu
from weakseg.networks import predict, saved_segmenter

SWEEP = (0.0, 1.0), (-20.0, 20.0)


@dataclass(frozen=True)
class Found:
    """One image's mask (H, W) uint8 at one step, and the activation (H, W) in [0, 1] behind it, if any."""

    mask: np.ndarray
    activation: np.ndarray | None = None


Step = Callable[[Sequence[str]], Iterator[Found]]


def constant(truth: TrueMasks, value: int) -> Step:
    """The trivial masks that are all background (0) or all foreground (1)."""
    return lambda ids: (Found(np.full(truth.shape(name), value, np.uint8)) for name in ids)


def gaussian(truth: TrueMasks, sigma: float, tails: float) -> Step:
    """A Gaussian in the middle of each image, of `sigma` times each side, cut at Otsu's threshold."""

    def found(ids: Sequence[str]) -> Iterator[Found]:
        for name in ids:
            curves = [np.exp(-(((np.arange(n) + 0.5) / n - 0.5) ** 2) / (2 * sigma**2)) for n in truth.shape(name)]
            activation = grids.minmax(np.outer(*curves)[None])[0]
            yield Found((activation > otsu.threshold(activation, tails)).astype(np.uint8), activation)

    return found


@dataclass(frozen=True)
class Maps:
    """Stored activation maps, as logits or, where not `linear`, each map min-max; K may be 0."""

    archive: activations.Cams
    linear: bool

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Maps (K,h,w) of one image and their class indices (K,)."""
        entry = self.archive.cams(name)
        return entry.scores if self.linear else grids.minmax(entry.scores), entry.classes


def mapped(truth: TrueMasks, source: Maps, threshold: float | None, tails: float) -> Step:
    """Stored maps cut at `threshold`; None: at Otsu's threshold of each image's highest values."""

    def found(ids: Sequence[str]) -> Iterator[Found]:
        for name in track(ids, f"maps of {source.archive.path}"):
            maps, classes = source.read(name)
            if len(maps) == 0:
                yield Found(np.zeros(truth.shape(name), np.uint8))
                continue
            large = grids.resize(maps, truth.shape(name))
            cut = otsu.threshold(maps.max(0), tails) if threshold is None else threshold
            mask = pseudomasks.to_class_ids(grids.decide(large, cut, 0.0), classes)
            yield Found(mask, grids.minmax(large.max(0, keepdims=True))[0])

    return found


def oracle(truth: TrueMasks, source: Maps, ids: Sequence[str]) -> float:
    """The threshold with the best mean IoU of foreground and background over these images; reads the true masks.

    One for all images; NaN where they have no foreground, or no map.
    """
    sweep = ThresholdSweep(*SWEEP[source.linear], bins=4000)
    for name in track(ids, "oracle threshold"):
        maps, _ = source.read(name)
        if len(maps):
            sweep.add(grids.resize(maps, truth.shape(name)).max(0), truth.mask(name))
    return sweep.result()[0]


def stored(masks: zips.Masks) -> Step:
    """Masks as an archive holds them."""
    return lambda ids: (Found(masks.mask(name)) for name in track(ids, f"masks of {masks.path}"))


def segmented(truth: TrueMasks, images: zips.Images, path: Path, batch_size: int, precision: str) -> Step:
    """Masks of a saved segmenter, predicted at the size, scales and flips its header tells, at the images' size."""

    def masks(ids: Sequence[str]) -> Iterator[Found]:
        network, header = saved_segmenter.load(path)
        found = predict.stream(
            network, images, ids, size=header.test_size, scales=header.test_scales, flip=header.test_flip,
            batch_size=batch_size, precision=precision, description=path.stem,
        )  # fmt: skip
        for name, probability in found:
            shape = truth.shape(name)
            activation = 1 - grids.resize(probability[:1], shape)[0]
            yield Found(predict.to_mask(probability, shape), activation)

    return masks


@dataclass(frozen=True)
class Sources:
    """The artifacts of the chain."""

    images: zips.Images
    cams: Maps
    distilled: Maps
    refined: zips.Masks
    pseudomasks: zips.Masks
    segmenter: Path
    control: Path


@dataclass(frozen=True)
class Settings:
    """How the steps are computed; units as in params.yaml."""

    sigma: float
    tails: float
    batch_size: int
    precision: str


def baselines(truth: TrueMasks, settings: Settings) -> dict[str, Step]:
    """What needs no model at all."""
    return {
        "all_background": constant(truth, 0),
        "all_foreground": constant(truth, 1),
        "center_gaussian": gaussian(truth, settings.sigma, settings.tails),
    }


def networks(truth: TrueMasks, sources: Sources, settings: Settings) -> dict[str, Step]:
    """Each round of the segmenter, then the last round of the control."""
    files = {path.stem: path for path in saved_segmenter.rounds(sources.segmenter)}
    files["control"] = saved_segmenter.rounds(sources.control)[-1]
    way = settings.batch_size, settings.precision
    return {name: segmented(truth, sources.images, path, *way) for name, path in files.items()}


def trained(truth: TrueMasks, sources: Sources, settings: Settings) -> dict[str, Step]:
    """The steps of the chain, none of which needs a mask to decide anything, and the control."""
    return {
        "seed": mapped(truth, sources.cams, None, settings.tails),
        "distilled": mapped(truth, sources.distilled, 0.0, settings.tails),
        "refined": stored(sources.refined),
        "pseudomasks": stored(sources.pseudomasks),
        **networks(truth, sources, settings),
    }


def everything(truth: TrueMasks, sources: Sources, settings: Settings, ids: Sequence[str]) -> dict[str, Step]:
    """Baselines, then the chain, each kind of map followed by its oracle: the best threshold for these very images.

    An oracle is no result but the limit of thresholding.
    """
    steps = baselines(truth, settings)
    maps = {"seed": sources.cams, "distilled": sources.distilled}
    for name, step in trained(truth, sources, settings).items():
        steps[name] = step
        if name in maps:
            cut = oracle(truth, maps[name], ids)
            steps[f"{name}_oracle"] = mapped(truth, maps[name], cut, settings.tails)
    return steps
