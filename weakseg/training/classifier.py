"""Training a classifier: its last blocks and its head on augmented images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from weakseg.artifacts import zips
from weakseg.artifacts.zips import Images
from weakseg.data import samples
from weakseg.data.augment import Augmentation, augment_images
from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.networks.classifier import Classifier
from weakseg.training import image_labels, loop, predictions
from weakseg.training.head import train_head
from weakseg.training.image_labels import Recipe, _optimizer


def epoch_batches(
    images: Images,
    ids: Sequence[str],
    size: int,
    classifier: Classifier,
    labels: Tensor,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    """Batches of one epoch: images (B,3,S,S), augmented on the device, and their targets, fixed by seed and epoch."""
    place = device.pick()
    mean, std = (torch.tensor(value, device=place).view(3, 1, 1) for value in (classifier.mean, classifier.std))
    dataset = samples.ImageSamples(images, ids, size, samples.PLAIN)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        shuffle = 1_000_003 * seed + epoch
        generator = torch.Generator().manual_seed(shuffle)
        for pixels, indices in samples.loader(
            dataset, batch_size, shuffle_seed=shuffle, drop_last=len(ids) > batch_size
        ):
            seen = augment_images(pixels.to(place), size, augmentation, generator)
            yield (seen - mean) / std, labels[indices]

    return batches


def dice_term(classifier: Classifier, features: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of the present classes' maps against their own threshold (system 1)."""
    from weakseg.training.losses import dice

    maps = torch.einsum("kc,bchw->bkhw", classifier.head.weight, features)
    present = labels.bool() if labels.ndim == 2 else nn.functional.one_hot(labels, maps.shape[1]).bool()
    return dice.self_dice(maps, present)


def _network_loss(classifier: Classifier, recipe: Recipe):
    criterion = image_labels.criterion(recipe.target, recipe.label_smoothing)
    place = device.pick()

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        pixels, labels = (item.to(place) for item in batch)
        with device.autocast(recipe.precision):
            features = classifier.features(pixels.contiguous(memory_format=torch.channels_last))
            logits = classifier.logits(features)
        total = classification_loss = criterion(logits.float(), labels)
        right = image_labels.accuracy(image_labels.probabilities(logits.detach().float(), recipe.target), labels).mean()
        losses = {"classification": classification_loss, "train_accuracy": right}
        if recipe.dice_weight:
            losses["dice"] = dice_term(classifier, features.float(), labels)
            total = total + recipe.dice_weight * losses["dice"]
        return {"loss": total, **losses}

    return loss


def _validation(classifier: Classifier, images: zips.Images, ids: list[str], labels: Tensor, recipe: Recipe):
    def validate() -> dict[str, float]:
        found = predictions.predict(
            classifier, images, ids, recipe.image_size, recipe.batch_size, recipe.precision, recipe.target
        )
        probability = torch.cat([scores for _, scores in found])
        return {"val_accuracy": float(image_labels.accuracy(probability, labels).mean())}

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
    blocks = image_labels.freeze(classifier, recipe.trainable_blocks)
    optimizer = _optimizer(recipe, blocks, classifier.head)
    steps = recipe.epochs * max(1, len(ids["train"]) // recipe.batch_size)
    batches = epoch_batches(
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
    return loop.fit(
        {"classifier": classifier},
        [optimizer],
        [loop.schedule(recipe.schedule, optimizer, steps=steps, warmup=recipe.warmup)],
        batches,
        _network_loss(classifier, recipe),
        epochs=recipe.epochs,
        validate=_validation(classifier, images, ids["val"], labels["val"], recipe) if held_out else None,
        monitor="val_accuracy" if held_out else None,
        patience=recipe.patience if held_out else None,
        checkpoint=folder / "checkpoint.pt",
        description="classifier",
    )


def train(
    classifier: Classifier, images: zips.Images, frame: pd.DataFrame, names: list[str], recipe: Recipe, folder: Path
) -> list[dict[str, float]]:
    """Train on the images of split train, with early stopping on split val where there is one; one row an epoch."""
    ids = {split: frame.index[frame["split"] == split].tolist() for split in ("train", "val")}
    if len(names) < 2 and recipe.target == "single":
        raise UserError("data/labels.csv names fewer than two classes: a classifier needs two, or target multi")
    labels = {split: image_labels.targets(frame.loc[ids[split]], names, recipe.target) for split in ids}
    method = train_head if recipe.trainable_blocks == 0 else train_blocks
    return method(classifier, images, ids, labels, recipe, folder)
