"""Training a segmenter on masks that may be wrong: ignored pixels, class balance, an averaged teacher.

Averaged teacher: A. Tarvainen, H. Valpola, "Mean teachers are better role models", 2017, arXiv 1703.01780.
Differs from the paper: its probabilities are mixed into the targets instead of a second loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from weakseg.artifacts.formats.masks import IGNORE
from weakseg.artifacts.formats.zips import Images
from weakseg.data.paired_samples import Batches, Maps, PairedSamples, shuffled
from weakseg.data.samples import derive_seed
from weakseg.harness import device as hardware
from weakseg.networks.segmentation.segmenter import Segmenter, spare_slow_gradients
from weakseg.training.fitting import loop, optimization, whole_batch
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained
from weakseg.training.fitting.run_state import Row
from weakseg.training.losses.cross_entropy import cross_entropy, weigh
from weakseg.training.recipes.segmenter import Training
from weakseg.training.self_training.census import Census

Batch = tuple[Tensor, Tensor, Tensor]  # images (B,3,S,S) in [0, 1], target ids (B,S,S), indices


@dataclass(frozen=True)
class Dataset:
    """Images, their target ids (H,W) uint8 by image id, which of them are used, and how many classes there are."""

    images: Images
    targets: Maps
    seen: Census
    classes: int


def weigh_classes(pixels: np.ndarray, classes: int, balance: float) -> Tensor | None:
    """(share of the class)^-balance, scaled so that the pixels' mean weight is 1; None for balance 0.

    balance 1 gives every class the same total weight; a class without pixels has weight 0.
    """
    if balance == 0:
        return None
    shares = pixels[:classes] / pixels[:classes].sum()
    weights = np.where(shares > 0, np.where(shares > 0, shares, 1.0) ** -balance, 0.0)
    return torch.tensor(weights / (weights * shares).sum(), dtype=torch.float32)


def average_weights(segmenter: Segmenter, decay: float) -> AveragedModel | None:
    """A running mean of the weights, of the last 1/(1 - decay) steps or so and shorter at first; None for decay 0."""
    if decay == 0:
        return None

    @torch.no_grad()
    def update(averages: Any, currents: Any, count: Any) -> None:
        number = int(averaged.n_averaged)  # on the CPU, as `count` is not: nothing waits for the device
        # mean += (1 - d) * (weight - mean); d grows from 1/10 to `decay`, so that the first weights are soon forgotten
        torch._foreach_lerp_(averages, currents, 1 - min(decay, (1 + number) / (10 + number)))

    averaged = AveragedModel(segmenter, multi_avg_fn=update)
    return averaged


def mix_targets(maps: Tensor, probability: Tensor, share: float) -> Tensor:
    """Soft targets (B,C,H,W): (1 - share) of the mask's one-hot and `share` of the teacher's; ignored pixels all 0."""
    kept = maps != IGNORE
    one_hot = F.one_hot(torch.where(kept, maps, 0).long(), probability.shape[1]).movedim(-1, 1)  # (B,C,H,W)
    return ((1 - share) * one_hot + share * probability) * kept[:, None]


def _pixel_agreement(logits: Tensor, maps: Tensor) -> Tensor:
    kept = maps != IGNORE
    right = (logits.argmax(1) == maps) & kept
    # Sums and no selection, whose size a device would have to tell first.
    return right.sum().float() / kept.sum().clamp(min=1)


def objective(
    segmenter: Segmenter, teacher: AveragedModel | None, weights: Tensor | None, recipe: Training
) -> Callable[[Batch, int], dict[str, Tensor]]:
    """The loss of a batch; from the second epoch on the teacher's probabilities join the targets."""
    device = hardware.pick()
    weights = None if weights is None else weights.to(device)

    def loss(batch: Batch, epoch: int) -> dict[str, Tensor]:
        images, maps = batch[0].contiguous(memory_format=torch.channels_last), batch[1]
        images = segmenter.normalize(images)
        with hardware.autocast(recipe.precision):
            logits = segmenter(images)
        targets = maps
        if teacher is not None and recipe.teacher_share > 0 and epoch > 0:
            with torch.no_grad(), hardware.autocast(recipe.precision):
                probability = teacher.module.eval()(images).float().softmax(1)
            targets = mix_targets(maps, probability, recipe.teacher_share)
        loss = whole_batch.mean(cross_entropy(logits, targets, weights=weights), partial(weigh, targets, weights))
        agreement = whole_batch.mean(_pixel_agreement(logits.detach(), maps), lambda: (maps != IGNORE).sum())
        return {"loss": loss, "pixel_agreement": agreement}

    return loss


@dataclass(frozen=True)
class Length:
    """How long a round trains: optimizer steps in all, and those of one pass over the images."""

    steps: int
    every: int

    @property
    def epochs(self) -> int:
        """Passes, the last of which may be cut short."""
        return math.ceil(self.steps / self.every)


def plan_length(recipe: Training, images: int) -> Length:
    """Steps of a round over so many images: `epochs` whole passes, or `steps` where epochs is 0.

    A pass leaves its last, smaller batch out; fewer images than one batch are one step.
    """
    every = max(1, images // recipe.batch_size)
    return Length(recipe.epochs * every or recipe.steps, every)


def prepare(segmenter: Segmenter, recipe: Training, steps: int) -> Trained:
    """Move it to the device, freeze what does not train, and give it optimizer, schedule and running mean."""
    device = hardware.pick()
    segmenter.to(device).to(memory_format=torch.channels_last)
    if device.type == "cpu":
        spare_slow_gradients(segmenter)
    segmenter.freeze(recipe.frozen_groups, fixed_norm=recipe.fixed_norm)
    groups = segmenter.parameter_groups(recipe.encoder_rate, recipe.decoder_rate)
    averaged = average_weights(segmenter, recipe.average)
    return optimization.prepare(recipe, segmenter, groups, steps, averaged)


def train(segmenter: Segmenter, data: Dataset, recipe: Training, checkpoint: Path) -> list[Row]:
    """Train in place on the usable images, as long as `plan_length` says; one row for each pass over them.

    Ends in evaluation mode, with the averaged weights where there are any. Resumes from `checkpoint`.
    """
    length = plan_length(recipe, len(data.seen.ids))
    part = prepare(segmenter, recipe, length.steps)
    samples = PairedSamples(data.images, data.targets, data.seen.ids, recipe.load_size(recipe.image_size))
    reading = shuffled(samples, recipe.batch_size)

    def batches(epoch: int) -> Batches:
        seed, left = derive_seed(recipe.seed, epoch), length.steps - epoch * length.every
        return Batches(reading, recipe.image_size, recipe, seed, left)

    weights = weigh_classes(data.seen.pixels, data.classes, recipe.balance)
    loss = objective(segmenter, part.averaged, weights, recipe)
    plan = Plan("segmenter", length.epochs, recipe.clip, checkpoint, precision=recipe.precision)
    history = loop.fit({"segmenter": part}, batches, loss, plan)
    if part.averaged is not None:
        segmenter.load_state_dict(part.averaged.module.state_dict())
    return history
