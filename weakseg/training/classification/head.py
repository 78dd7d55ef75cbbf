"""Training the head alone, on features that a frozen network gives once, for this and for all that follows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, LinearHead
from weakseg.networks.frozen import once
from weakseg.networks.frozen.once import Stored
from weakseg.training import image_labels, predictions
from weakseg.training.classification.kept_epochs import Keep
from weakseg.training.fitting import loop, optimization
from weakseg.training.fitting.loop import Plan, Validation
from weakseg.training.fitting.run_state import Row
from weakseg.training.image_labels import Dataset
from weakseg.training.recipes.classifier import Recipe

COPIED = 4096  # images held in memory at once


def copy_features(stored: Stored, ids: Sequence[str], path: Path) -> np.ndarray:
    """What the head's linear layer sees, for each image and its mirror image: (N,2,C) float16 on disk at `path`."""
    rows = np.memmap(path, np.float16, "w+", shape=(len(ids), 2, *stored.files.shapes[once.POOLED]))
    for start in range(0, len(ids), COPIED):
        chunk = ids[start : start + COPIED]
        views = [stored.files.read(once.POOLED, chunk, mirrored) for mirrored in (False, True)]  # two of (B,C)
        rows[start : start + len(chunk)] = np.stack(views, 1)
    return rows


def draw_features(rows: np.ndarray, labels: Tensor, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch from stored features (N,2,C), fixed by seed and epoch; `flip`: half of mirror images."""
    generator = np.random.default_rng((recipe.seed, epoch))
    order, views = generator.permutation(len(rows)), generator.integers(0, 1 + recipe.flip, len(rows))
    for start in range(0, len(rows), recipe.head_batch_size):
        chosen = order[start : start + recipe.head_batch_size]
        yield torch.from_numpy(rows[chosen, views[chosen]].astype(np.float32)), labels[chosen]


@torch.inference_mode()
def _validate(classifier: Classifier, linear: nn.Linear, features: Tensor, labels: Tensor) -> Row:
    logits = linear(features)
    return {"val_accuracy": float(image_labels.accuracy(classifier.probabilities(logits), labels).mean())}


def train_head(
    classifier: Classifier, dataset: Dataset, recipe: Recipe, folder: Path, keep: Keep | None = None
) -> list[Row]:
    """Train the linear layer alone: features are computed once, of every image and its mirror image, and kept.

    So `flip` is the only augmentation there is. UserError: a head that is not pooled, or without weights to learn.
    """
    head = classifier.head
    if not isinstance(head, LinearHead):
        raise UserError(
            "trainable_blocks: 0 needs a head that is one linear layer on pooled features, which this"
            " backbone lacks: train at least one block"
        )
    if not head.linear.weight.requires_grad:
        raise UserError(
            "trainable_blocks: 0 trains the head alone, and this backbone's has no weights to learn: train its blocks,"
            " -1 for all"
        )
    (ids, labels), (held_out, truth) = (dataset.labeled(split, recipe.target) for split in ("train", "val"))
    stored = once.collect(classifier, head, predictions.read(dataset, dataset.frame.index.tolist(), recipe))
    rows = copy_features(stored, ids + held_out, folder / "features.f16")
    linear, criterion = head.linear.cpu(), image_labels.criterion(recipe.target, recipe.label_smoothing)
    unseen = torch.from_numpy(np.asarray(rows[len(ids) :, 0], dtype=np.float32))  # (N,C), without mirror images

    def draw(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return draw_features(rows[: len(ids)], labels, recipe, epoch)

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        return {"loss": criterion(linear(batch[0]), batch[1])}

    def measure() -> Row:
        return _validate(classifier, linear, unseen, truth)

    steps = recipe.epochs * math.ceil(len(ids) / recipe.head_batch_size)
    part = optimization.prepare(recipe, linear, image_labels.group_weights(recipe, [], linear), steps)
    validation = Validation(measure, "val_accuracy", recipe.patience) if held_out else None
    return loop.fit({"head": part}, draw, loss, Plan("head", recipe.epochs, keep=keep, shared=False), validation)
