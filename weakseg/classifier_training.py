"""The classifier's training runs: all or the last blocks by gradient steps, or the head alone on stored features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from weakseg import classification, fit
from weakseg.artifacts import zips
from weakseg.data.augment import Augmentation
from weakseg.errors import UserError
from weakseg.harness import device, files
from weakseg.networks.classifier import Classifier, PooledHead


@dataclass(frozen=True)
class Recipe:
    """What decides the result; units as in params.yaml."""

    seed: int
    image_size: int
    target: str
    epochs: int
    patience: int
    batch_size: int
    optimizer: str
    schedule: str
    warmup: float
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    label_smoothing: float
    trainable_blocks: int
    dice_weight: float
    precision: str
    zoom_from: float
    zoom_to: float
    flip: bool
    gain: float
    brightness: float

    @property
    def augmentation(self) -> Augmentation:
        """What an epoch does to the images."""
        return Augmentation(self.zoom_from, self.zoom_to, self.flip, self.gain, self.brightness)


def _optimizer(recipe: Recipe, blocks: list[nn.Parameter], head: nn.Module) -> torch.optim.Optimizer:
    groups = [{"params": blocks, "lr": recipe.learning_rate}] if blocks else []
    groups.append(
        {"params": [weight for weight in head.parameters() if weight.requires_grad], "lr": recipe.head_learning_rate}
    )
    return fit.optimizer(
        recipe.optimizer, [group for group in groups if group["params"]], weight_decay=recipe.weight_decay
    )


def dice_term(classifier: Classifier, features: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of the present classes' maps against their own threshold (system 1)."""
    from weakseg.losses import dice

    maps = torch.einsum("kc,bchw->bkhw", classifier.head.weight, features)
    present = labels.bool() if labels.ndim == 2 else nn.functional.one_hot(labels, maps.shape[1]).bool()
    return dice.self_dice(maps, present)


def _network_loss(classifier: Classifier, recipe: Recipe):
    criterion = classification.criterion(recipe.target, recipe.label_smoothing)
    place = device.pick()

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        pixels, labels = (item.to(place) for item in batch)
        with device.autocast(recipe.precision):
            features = classifier.features(pixels.contiguous(memory_format=torch.channels_last))
            logits = classifier.logits(features)
        total = classification_loss = criterion(logits.float(), labels)
        right = classification.accuracy(
            classification.probabilities(logits.detach().float(), recipe.target), labels
        ).mean()
        losses = {"classification": classification_loss, "train_accuracy": right}
        if recipe.dice_weight:
            losses["dice"] = dice_term(classifier, features.float(), labels)
            total = total + recipe.dice_weight * losses["dice"]
        return {"loss": total, **losses}

    return loss


def _validation(classifier: Classifier, images: zips.Images, ids: list[str], labels: Tensor, recipe: Recipe):
    def validate() -> dict[str, float]:
        found = classification.predict(
            classifier, images, ids, recipe.image_size, recipe.batch_size, recipe.precision, recipe.target
        )
        probability = torch.cat([scores for _, scores in found])
        return {"val_accuracy": float(classification.accuracy(probability, labels).mean())}

    return validate


def train_blocks(
    classifier: Classifier,
    images: zips.Images,
    ids: dict[str, list[str]],
    labels: dict[str, Tensor],
    recipe: Recipe,
    folder: Path,
) -> list[dict[str, float]]:
    """Train the head and the last blocks on augmented images; early stopping on the validation images, if any."""
    place = device.pick()
    classifier.to(place, memory_format=torch.channels_last)
    blocks = classification.freeze(classifier, recipe.trainable_blocks)
    optimizer = _optimizer(recipe, blocks, classifier.head)
    steps = recipe.epochs * max(1, len(ids["train"]) // recipe.batch_size)
    batches = classification.epoch_batches(
        images,
        ids["train"],
        recipe.image_size,
        classifier,
        labels["train"],
        recipe.batch_size,
        recipe.augmentation,
        recipe.seed,
    )
    held_out = bool(ids["val"])
    return fit.fit(
        {"classifier": classifier},
        [optimizer],
        [fit.schedule(recipe.schedule, optimizer, steps=steps, warmup=recipe.warmup)],
        batches,
        _network_loss(classifier, recipe),
        epochs=recipe.epochs,
        validate=_validation(classifier, images, ids["val"], labels["val"], recipe) if held_out else None,
        monitor="val_accuracy" if held_out else None,
        patience=recipe.patience if held_out else None,
        checkpoint=folder / "checkpoint.pt",
        description="classifier",
    )


def train_head(
    classifier: Classifier,
    images: zips.Images,
    ids: dict[str, list[str]],
    labels: dict[str, Tensor],
    recipe: Recipe,
    folder: Path,
) -> list[dict[str, float]]:
    """Train the linear layer alone: features are computed once, for each image and its mirror image.

    So `flip` is the only augmentation there is.
    """
    if not isinstance(classifier.head, PooledHead):
        raise UserError("trainable_blocks: 0 needs a pooled head, which this backbone lacks: train at least one block")
    order = ids["train"] + ids["val"]
    path = folder / "features.f16"
    rows = classification.pooled_features(
        classifier, images, order, recipe.image_size, recipe.batch_size, recipe.precision, path
    )
    count = len(ids["train"])
    linear = classifier.head.linear.cpu()
    criterion = classification.criterion(recipe.target, recipe.label_smoothing)
    optimizer = _optimizer(recipe, [], linear)
    batch_size = max(recipe.batch_size, 256)
    held_out = torch.from_numpy(np.asarray(rows[count:, 0], dtype=np.float32))

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        return {"loss": criterion(linear(batch[0]), batch[1])}

    @torch.inference_mode()
    def validate() -> dict[str, float]:
        probability = classification.probabilities(linear(held_out), recipe.target)
        return {"val_accuracy": float(classification.accuracy(probability, labels["val"]).mean())}

    steps = recipe.epochs * -(-count // batch_size)
    return fit.fit(
        {"head": linear},
        [optimizer],
        [fit.schedule(recipe.schedule, optimizer, steps=steps, warmup=recipe.warmup)],
        classification.feature_batches(rows[:count], labels["train"], batch_size, recipe.flip, recipe.seed),
        loss,
        epochs=recipe.epochs,
        validate=validate if ids["val"] else None,
        monitor="val_accuracy" if ids["val"] else None,
        patience=recipe.patience if ids["val"] else None,
        description="head",
    )


def train(
    classifier: Classifier, images: zips.Images, frame: pd.DataFrame, names: list[str], recipe: Recipe, folder: Path
) -> list[dict[str, float]]:
    """Train on the images of split train, with early stopping on split val where there is one; one row an epoch."""
    ids = {split: frame.index[frame["split"] == split].tolist() for split in ("train", "val")}
    if len(names) < 2 and recipe.target == "single":
        raise UserError("data/labels.csv names fewer than two classes: a classifier needs two, or target multi")
    labels = {split: classification.targets(frame.loc[ids[split]], names, recipe.target) for split in ids}
    method = train_head if recipe.trainable_blocks == 0 else train_blocks
    return method(classifier, images, ids, labels, recipe, folder)


def predict_table(
    classifier: Classifier, images: zips.Images, frame: pd.DataFrame, names: list[str], recipe: Recipe, path: Path
) -> None:
    """Predict every image and write the table row by row."""
    ids = frame.index.tolist()
    found = classification.predict(
        classifier, images, ids, recipe.image_size, recipe.batch_size, recipe.precision, recipe.target
    )
    with files.replacing(path) as temporary:
        for position, (batch, probability) in enumerate(found):
            rows = classification.prediction_rows(batch, probability, frame, names, recipe.target)
            pd.DataFrame(rows).to_csv(
                temporary, mode="a" if position else "w", header=position == 0, index=False, lineterminator="\n"
            )
