"""Training a segmenter on masks that may be wrong: ignored pixels, class balance, an averaged teacher.

Averaged teacher: A. Tarvainen, H. Valpola, "Mean teachers are better role models", 2017, arXiv 1703.01780.
Differs from the paper: its probabilities are mixed into the targets instead of a second loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from weakseg.artifacts.zips import IGNORE, Images, Masks
from weakseg.data.augment import Augmentation
from weakseg.data.paired_samples import Batches, Maps, PairedSamples, seed_of
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.segmenter import Segmenter, spare_slow_gradients
from weakseg.training import loop
from weakseg.training.losses.cross_entropy import cross_entropy

BINARY, CLASSES = "binary", "classes"


@dataclass(frozen=True)
class Recipe:
    """What decides the result; units as in params.yaml."""

    seed: int
    size: int
    steps: int
    batch_size: int
    zoom_from: float
    zoom_to: float
    flip: bool
    gain: float
    brightness: float
    optimizer: str
    schedule: str
    warmup: float
    encoder_rate: float
    decoder_rate: float
    weight_decay: float
    clip: float
    balance: float
    average: float
    teacher_share: float
    frozen_groups: int
    fixed_norm: bool
    precision: str

    @property
    def augmentation(self) -> Augmentation:
        """Zoom, flip and color."""
        return Augmentation(self.zoom_from, self.zoom_to, self.flip, self.gain, self.brightness)


@dataclass(frozen=True)
class Census:
    """Images that can be trained on, what was left out and why, and the pixels of each class id."""

    ids: list[str]
    counts: dict[str, int]
    pixels: np.ndarray


def target_ids(mask: np.ndarray, target: str) -> np.ndarray:
    """Class ids (H,W) uint8 as they are for `classes`; 0, 1 and 255 for `binary`."""
    if target == CLASSES:
        return mask
    return np.where(mask == IGNORE, mask, mask > 0).astype(np.uint8)


@dataclass(frozen=True)
class Targets:
    """The target ids (H,W) uint8 of an image, from an archive of masks."""

    masks: Masks
    target: str

    def __call__(self, image_id: str) -> np.ndarray:
        return target_ids(self.masks.mask(image_id), self.target)


def census(masks: Masks, ids: Sequence[str], target: str) -> Census:
    """Look at every mask once: an image without a mask, or whose mask is all background or all object, is dropped.

    Ignored pixels do not count; a mask with nothing else is empty.
    """
    kept, counts = [], {"images": 0, "without_mask": 0, "dropped_empty": 0, "dropped_full": 0}
    pixels = np.zeros(256, np.int64)
    targets = Targets(masks, target)
    for image_id in track(ids, "masks", len(ids)):
        if image_id not in masks:
            counts["without_mask"] += 1
            continue
        found = np.bincount(targets(image_id).ravel(), minlength=256)
        object_pixels = found[1:IGNORE].sum()
        if object_pixels == 0 or found[0] == 0:
            counts["dropped_full" if object_pixels else "dropped_empty"] += 1
            continue
        kept.append(image_id)
        pixels += found
    counts["images"] = len(kept)
    return Census(kept, counts, pixels[:IGNORE])


def class_weights(pixels: np.ndarray, classes: int, balance: float) -> Tensor | None:
    """(share of the class)^-balance, scaled so that the pixels' mean weight is 1; None for balance 0.

    balance 1 gives every class the same total weight; a class without pixels has weight 0.
    """
    if balance == 0:
        return None
    shares = pixels[:classes] / pixels[:classes].sum()
    weights = np.where(shares > 0, np.where(shares > 0, shares, 1.0) ** -balance, 0.0)
    return torch.tensor(weights / (weights * shares).sum(), dtype=torch.float32)


def averaged_copy(segmenter: Segmenter, decay: float) -> AveragedModel | None:
    """A running mean of the weights, of the last 1/(1 - decay) steps or so and shorter at first; None for decay 0."""
    if decay == 0:
        return None

    @torch.no_grad()
    def update(averages: Any, currents: Any, count: Any) -> None:
        number = int(count)
        torch._foreach_lerp_(averages, currents, 1 - min(decay, (1 + number) / (10 + number)))

    return AveragedModel(segmenter, multi_avg_fn=update)


def mixed_targets(maps: Tensor, probability: Tensor, share: float) -> Tensor:
    """Soft targets (B,C,H,W): (1 - share) of the mask's one-hot and `share` of the teacher's; ignored pixels all 0."""
    kept = maps != IGNORE
    one_hot = F.one_hot(torch.where(kept, maps, 0).long(), probability.shape[1]).movedim(-1, 1)
    return ((1 - share) * one_hot + share * probability) * kept[:, None]


def objective(
    segmenter: Segmenter, teacher: AveragedModel | None, weights: Tensor | None, recipe: Recipe
) -> Callable[[tuple[Tensor, Tensor, Tensor], int], dict[str, Tensor]]:
    """The loss of a batch; from the second epoch on the teacher's probabilities join the targets."""
    place = device.pick()
    weights = None if weights is None else weights.to(place)

    def loss(batch: tuple[Tensor, Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, maps = batch[0].to(place, memory_format=torch.channels_last), batch[1].to(place)
        images = segmenter.normalize(images)
        with device.autocast(recipe.precision):
            logits = segmenter(images)
        targets = maps
        if teacher is not None and recipe.teacher_share > 0 and epoch > 0:
            with torch.no_grad(), device.autocast(recipe.precision):
                probability = teacher.module.eval()(images).float().softmax(1)
            targets = mixed_targets(maps, probability, recipe.teacher_share)
        kept = maps != IGNORE
        right = (logits.detach().argmax(1) == maps)[kept].float().mean() if kept.any() else logits.new_zeros(())
        return {"loss": cross_entropy(logits, targets, weights=weights), "pixel_agreement": right}

    return loss


def train(
    segmenter: Segmenter, images: Images, maps: Maps, seen: Census, classes: int, recipe: Recipe, checkpoint: Path
) -> list[dict[str, float]]:
    """Train in place for `steps` optimizer steps on the census's images; one row for each pass over them.

    `maps(image_id)` gives target ids (H,W) uint8. Ends in evaluation mode, with the averaged weights where
    there are any. Resumes from `checkpoint`.
    """
    place = device.pick()
    segmenter.to(place).to(memory_format=torch.channels_last)
    if place.type == "cpu":
        spare_slow_gradients(segmenter)
    segmenter.freeze(recipe.frozen_groups, fixed_norm=recipe.fixed_norm)
    teacher = averaged_copy(segmenter, recipe.average)
    groups = segmenter.parameter_groups(recipe.encoder_rate, recipe.decoder_rate)
    optimizer = loop.optimizer(recipe.optimizer, groups, weight_decay=recipe.weight_decay)
    dataset = PairedSamples(images, maps, seen.ids, recipe.augmentation.load_size(recipe.size))
    every = max(1, len(dataset) // recipe.batch_size)

    def batches(epoch: int) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        seed, limit = seed_of(recipe.seed, epoch), recipe.steps - epoch * every
        return Batches(dataset, recipe.batch_size, recipe.size, recipe.augmentation, seed, limit)

    history = loop.fit(
        {"segmenter": segmenter},
        [optimizer],
        [loop.schedule(recipe.schedule, optimizer, steps=recipe.steps, warmup=recipe.warmup)],
        batches,
        objective(segmenter, teacher, class_weights(seen.pixels, classes, recipe.balance), recipe),
        epochs=math.ceil(recipe.steps / every),
        clip=recipe.clip,
        checkpoint=checkpoint,
        averaged=teacher,
        description="segmenter",
    )
    if teacher is not None:
        segmenter.load_state_dict(teacher.module.state_dict())
    return history
