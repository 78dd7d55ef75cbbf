"""Training a classifier: its last blocks and its head on augmented images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from weakseg.data import samples
from weakseg.data.augment import augment_images, draw
from weakseg.data.samples import Reader
from weakseg.errors import UserError
from weakseg.harness import device as hardware
from weakseg.harness import processes
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import outputs
from weakseg.training import image_labels, predictions
from weakseg.training.classification.dice_term import dice_term, require_pooled, wanted_levels
from weakseg.training.classification.head import train_head
from weakseg.training.classification.kept_epochs import Keep
from weakseg.training.fitting import loop, optimization, whole_batch
from weakseg.training.fitting.loop import Plan, Validation
from weakseg.training.fitting.run_state import Row
from weakseg.training.image_labels import Dataset
from weakseg.training.recipes.classifier import Recipe

Batch = tuple[Tensor, Tensor]  # normalized images (B,3,S,S) and their targets, on the device


@dataclass(frozen=True)
class Examples:
    """What is trained on: images that are read plain, and warped; the labels of each, encoded.

    proportions (N,): their heights over their widths, where windows keep the shape they have in the image's own pixels.
    """

    images: samples.ImageSamples
    labels: Tensor
    proportions: Tensor | None


def choose_examples(dataset: Dataset, recipe: Recipe) -> Examples:
    """Those of split train. Where validation sees an undistorted center, training sees undistorted windows."""
    ids, labels = dataset.labeled("train", recipe.target)
    plain = samples.ImageSamples(dataset.images, ids, recipe.load_size(recipe.image_size), samples.PLAIN)
    return Examples(plain, labels, dataset.proportions(ids) if recipe.center_crop else None)


def read_shuffled(examples: Examples, recipe: Recipe) -> samples.Shuffled:
    """How the images are read, epoch by epoch; a last, smaller batch is left out unless it is the only one."""
    whole = len(examples.images) > recipe.batch_size
    return samples.Shuffled(examples.images, recipe.batch_size, drop_last=whole)


def draw_batches(
    classifier: Classifier, examples: Examples, reading: samples.Shuffled, recipe: Recipe, epoch: int
) -> Iterator[Batch]:
    """One epoch of images, augmented on the device, fixed by seed and epoch; of processes each has its share."""
    seed, device = samples.derive_seed(recipe.seed, epoch), hardware.pick()
    mean, std = (torch.tensor(value, device=device).view(3, 1, 1) for value in (classifier.mean, classifier.std))
    generator = torch.Generator().manual_seed(seed)
    for (pixels, rows), every in reading.epoch(seed):
        shapes = None if examples.proportions is None else examples.proportions[every]
        draws = draw(recipe, len(every), generator, shapes)[processes.share(len(every))]
        seen = augment_images(samples.to_floats(hardware.send(pixels, device)), recipe.image_size, draws)
        yield (seen - mean) / std, hardware.send(examples.labels[rows], device)


def objective(classifier: Classifier, recipe: Recipe) -> Callable[[Batch, int], dict[str, Tensor]]:
    """Classification and, with a weight, Dice; `train_accuracy` is that of the batch."""
    criterion = image_labels.criterion(recipe.target, recipe.label_smoothing)
    levels = wanted_levels(recipe)

    def loss(batch: Batch, epoch: int) -> dict[str, Tensor]:
        pixels, labels = batch
        with hardware.autocast(recipe.precision):
            seen = outputs(classifier, pixels, levels)
            logits = classifier.logits(seen[classifier.levels])
        losses = {"classification": whole_batch.mean(criterion(logits.float(), labels), len(labels))}
        probability = classifier.probabilities(logits.detach().float())
        losses["train_accuracy"] = whole_batch.mean(image_labels.accuracy(probability, labels).mean(), len(labels))
        total = losses["classification"]
        if recipe.dice_weight:
            maps = partial(torch.sum, image_labels.indicate(labels, logits.shape[1]))
            losses["dice"] = whole_batch.mean(dice_term(classifier, seen, labels, recipe), maps)
            total = total + recipe.dice_weight * losses["dice"]
        return {"loss": total, **losses}

    return loss


def _validate(classifier: Classifier, reader: Reader, labels: Tensor) -> Row:
    probability = predictions.predict_shared(classifier, reader)
    return {"val_accuracy": float(image_labels.accuracy(probability, labels).mean())}


def train_blocks(
    classifier: Classifier, dataset: Dataset, recipe: Recipe, folder: Path, keep: Keep | None = None
) -> list[Row]:
    """Train the head and the last blocks on augmented images; early stopping on the validation images, if any."""
    if recipe.dice_weight:
        require_pooled(classifier)
    examples, (held_out, truth) = choose_examples(dataset, recipe), dataset.labeled("val", recipe.target)
    classifier.to(hardware.pick()).to(memory_format=torch.channels_last)
    classifier.freeze(recipe.trainable_blocks)
    steps = recipe.epochs * max(1, len(examples.images) // recipe.batch_size)
    groups = image_labels.group_weights(recipe, classifier.trained_weights(), classifier.head)
    reader, reading = predictions.read(dataset, held_out, recipe), read_shuffled(examples, recipe)
    return loop.fit(
        {"classifier": optimization.prepare(recipe, classifier, groups, steps)},
        lambda epoch: draw_batches(classifier, examples, reading, recipe, epoch),
        objective(classifier, recipe),
        Plan("classifier", recipe.epochs, checkpoint=folder / "checkpoint.pt", keep=keep, precision=recipe.precision),
        Validation(lambda: _validate(classifier, reader, truth), "val_accuracy", recipe.patience) if held_out else None,
    )


def train(
    classifier: Classifier, dataset: Dataset, recipe: Recipe, folder: Path, keep: Keep | None = None
) -> list[Row]:
    """Train on the images of split train, with early stopping on split val where there is one; one row an epoch.

    `keep` is called after each epoch; `folder` is that from which a killed run goes on. With no epochs no weight
    changes. From here on the classifier knows whether its labels exclude each other.
    """
    if len(dataset.names) < 2 and recipe.target == "single":
        raise UserError("data/labels.csv names fewer than two classes: a classifier needs two, or target multi")
    classifier.target = recipe.target
    if recipe.epochs == 0:
        return []
    method = train_head if recipe.trainable_blocks == 0 else train_blocks
    return method(classifier, dataset, recipe, folder, keep)
