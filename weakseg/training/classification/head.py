"""Training the head alone, on features that a frozen network gave once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from weakseg.data.samples import Reader
from weakseg.errors import UserError
from weakseg.harness import device as hardware
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.training import image_labels, predictions
from weakseg.training.classification.kept_epochs import Keep
from weakseg.training.fitting import loop, optimization
from weakseg.training.fitting.loop import Plan, Validation
from weakseg.training.fitting.run_state import Row
from weakseg.training.image_labels import Dataset
from weakseg.training.recipes.classifier import Recipe


@torch.inference_mode()
def store_features(classifier: Classifier, head: PooledHead, reader: Reader, path: Path) -> np.ndarray:
    """What the head's linear layer sees, for each image and its mirror image: (N,2,C) float16 on disk at `path`.

    Rows that an earlier, killed run finished are kept.
    """
    done_file = path.with_suffix(".done")
    done = int(done_file.read_text()) if done_file.exists() else 0
    shape = (len(reader.ids), 2, head.linear.in_features)
    rows = np.memmap(path, np.float16, "r+" if done else "w+", shape=shape)
    device = hardware.pick()
    classifier.to(device).to(memory_format=torch.channels_last).eval()
    rest = replace(reader, ids=reader.ids[done:])
    for pixels, names in rest.batches("features", (classifier.mean, classifier.std)):
        pixels = pixels.to(device, memory_format=torch.channels_last)
        with hardware.autocast(reader.precision):
            pooled = [head.pooled(classifier.features(view)) for view in (pixels, pixels.flip(3))]
        rows[done : done + len(names)] = torch.stack(pooled, 1).float().cpu().numpy()  # (B,2,C)
        done += len(names)
        # The count follows the rows to disk, never the other way round: a kill in between repeats a batch at worst.
        rows.flush()
        done_file.write_text(str(done))
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
    """Train the linear layer alone: features are computed once, for each image and its mirror image.

    So `flip` is the only augmentation there is. UserError: a head that is not pooled, or without weights to learn.
    """
    head = classifier.head
    if not isinstance(head, PooledHead):
        raise UserError("trainable_blocks: 0 needs a pooled head, which this backbone lacks: train at least one block")
    if not head.linear.weight.requires_grad:
        raise UserError(
            "trainable_blocks: 0 trains the head alone, and this backbone's has no weights to learn: train its blocks,"
            " -1 for all"
        )
    (ids, labels), (held_out, truth) = (dataset.labeled(split, recipe.target) for split in ("train", "val"))
    reader = predictions.read(dataset, ids + held_out, recipe)
    rows = store_features(classifier, head, reader, folder / "features.f16")
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
    return loop.fit({"head": part}, draw, loss, Plan("head", recipe.epochs, keep=keep), validation)
