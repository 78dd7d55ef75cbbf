"""Training a classifier: its last blocks and its head on augmented images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from weakseg.data import samples
from weakseg.data.augment import augment_images
from weakseg.data.samples import Reader
from weakseg.errors import UserError
from weakseg.harness import device as hardware
from weakseg.networks.classifier import Classifier
from weakseg.training import image_labels, loop, optimization, predictions
from weakseg.training.head import train_head
from weakseg.training.image_labels import Dataset
from weakseg.training.loop import Plan, Validation
from weakseg.training.losses import dice
from weakseg.training.recipes.classifier import Recipe
from weakseg.training.run_state import Row

Batch = tuple[Tensor, Tensor]  # normalized images (B,3,S,S) on the device, and their targets


def draw_batches(
    classifier: Classifier, dataset: samples.ImageSamples, labels: Tensor, recipe: Recipe, epoch: int
) -> Iterator[Batch]:
    """One epoch of images, augmented on the device, fixed by seed and epoch. `dataset` gives them plain."""
    seed, device = samples.derive_seed(recipe.seed, epoch), hardware.pick()
    mean, std = (torch.tensor(value, device=device).view(3, 1, 1) for value in (classifier.mean, classifier.std))
    generator = torch.Generator().manual_seed(seed)
    whole = len(dataset) > recipe.batch_size
    for pixels, indices in samples.loader(dataset, recipe.batch_size, shuffle_seed=seed, drop_last=whole):
        seen = augment_images(pixels.to(device), recipe.image_size, recipe, generator)
        yield (seen - mean) / std, labels[indices]


def dice_term(classifier: Classifier, features: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of the present classes' maps against their own threshold (system 1)."""
    maps = torch.einsum("kc,bchw->bkhw", classifier.head.weight, features)  # (B,K,h,w)
    return dice.self_dice(maps, image_labels.indicate(labels, maps.shape[1]))


def objective(classifier: Classifier, recipe: Recipe) -> Callable[[Batch, int], dict[str, Tensor]]:
    """Classification and, with a weight, Dice; `train_accuracy` is that of the batch."""
    criterion = image_labels.criterion(recipe.target, recipe.label_smoothing)
    device = hardware.pick()

    def loss(batch: Batch, epoch: int) -> dict[str, Tensor]:
        pixels, labels = (item.to(device) for item in batch)
        with hardware.autocast(recipe.precision):
            features = classifier.features(pixels.contiguous(memory_format=torch.channels_last))
            logits = classifier.logits(features)
        losses = {"classification": criterion(logits.float(), labels)}
        probability = classifier.probabilities(logits.detach().float())
        losses["train_accuracy"] = image_labels.accuracy(probability, labels).mean()
        total = losses["classification"]
        if recipe.dice_weight:
            losses["dice"] = dice_term(classifier, features.float(), labels)
            total = total + recipe.dice_weight * losses["dice"]
        return {"loss": total, **losses}

    return loss


def _validate(classifier: Classifier, reader: Reader, labels: Tensor) -> Row:
    probability = torch.cat([scores for _, scores in predictions.predict(classifier, reader)])
    return {"val_accuracy": float(image_labels.accuracy(probability, labels).mean())}


def train_blocks(classifier: Classifier, dataset: Dataset, recipe: Recipe, folder: Path) -> list[Row]:
    """Train the head and the last blocks on augmented images; early stopping on the validation images, if any."""
    (ids, labels), (held_out, truth) = (dataset.labeled(split, recipe.target) for split in ("train", "val"))
    classifier.to(hardware.pick()).to(memory_format=torch.channels_last)
    classifier.freeze(recipe.trainable_blocks)
    steps = recipe.epochs * max(1, len(ids) // recipe.batch_size)
    groups = image_labels.group_weights(recipe, classifier.trained_weights(), classifier.head)
    plain = samples.ImageSamples(dataset.images, ids, recipe.image_size, samples.PLAIN)
    reader = Reader(dataset.images, held_out, recipe.image_size, recipe.batch_size, recipe.precision)
    return loop.fit(
        {"classifier": optimization.prepare(recipe, classifier, groups, steps)},
        lambda epoch: draw_batches(classifier, plain, labels, recipe, epoch),
        objective(classifier, recipe),
        Plan("classifier", recipe.epochs, checkpoint=folder / "checkpoint.pt"),
        Validation(lambda: _validate(classifier, reader, truth), "val_accuracy", recipe.patience) if held_out else None,
    )


def train(classifier: Classifier, dataset: Dataset, recipe: Recipe, folder: Path) -> list[Row]:
    """Train on the images of split train, with early stopping on split val where there is one; one row an epoch.

    From here on the classifier knows whether its labels exclude each other.
    """
    if len(dataset.names) < 2 and recipe.target == "single":
        raise UserError("data/labels.csv names fewer than two classes: a classifier needs two, or target multi")
    classifier.target = recipe.target
    method = train_head if recipe.trainable_blocks == 0 else train_blocks
    return method(classifier, dataset, recipe, folder)
