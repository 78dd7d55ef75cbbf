"""Training a classifier together with a network that reconstructs the image from its activation maps.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: an L1 term (its weight 0 gives the paper's loss), and maps of any CAM method, not of CAM alone.
Methods with a closed form for pooled heads are differentiated as they are; the value of any other one (Score-CAM)
takes the gradient of CAM (straight-through).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from weakseg.artifacts import zips
from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View
from weakseg.data import samples
from weakseg.data.augment import Augmentation
from weakseg.data.paired_samples import Batches, PairedSamples, seed_of
from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier
from weakseg.networks.fixed_features import LevelFeatures
from weakseg.networks.reconstructor import ReconstructNet
from weakseg.training import image_labels, loop
from weakseg.training.losses import alignment, perceptual


def straight_through(value: Tensor, carrier: Tensor) -> Tensor:
    """`value` (B,K,h,w) with the gradient of `carrier`, scaled to the spread of `value`; equal maps give themselves."""
    spread = carrier.detach().std((2, 3), keepdim=True)
    scale = torch.where(spread > 0, value.std((2, 3), keepdim=True) / spread.where(spread > 0, 1), 0)
    return value.detach() + scale.detach() * (carrier - carrier.detach())


def raw_maps(
    classifier: Classifier, images: Tensor, features: Tensor, method: ModuleType, options: dict[str, Any]
) -> Tensor:
    """Raw maps of all K classes, (B,K,h,w), from images and their features (B,C,h,w), with a graph.

    A method that offers `closed` is differentiated as it is, any other one takes the gradient of CAM. UserError when
    the classifier's head is not a pooled one.
    """
    head = gradients.require_pooled(classifier.head, "train_crm")
    classes = torch.arange(head.linear.out_features, device=images.device).expand(len(images), -1)
    if hasattr(method, "closed"):
        return method.closed(features, gradients.slopes(head, features, classes))
    value = method.maps(View(images, features.detach(), head, classifier), classes, **options)
    return straight_through(value, arithmetic.sum_channels(features, gradients.decomposition(head, features, classes)))


@dataclass(frozen=True)
class Recipe:
    """What decides the result; units as in params.yaml."""

    seed: int
    image_size: int
    target: str
    epochs: int
    warmup_epochs: int
    batch_size: int
    flip: bool
    trainable_blocks: int
    learning_rate: float
    reconstruct_rate: float
    l1_weight: float
    perceptual_weight: float
    alignment_weight: float
    precision: str


@dataclass(frozen=True)
class Data:
    """Images, superpixels, labels, and the class names in the classifier's order."""

    images: zips.Images
    segments: zips.Segments
    frame: pd.DataFrame
    names: list[str]

    def held_out(self) -> pd.DataFrame:
        """The rows of split test, else of val; UserError when there are none."""
        for split in ("test", "val"):
            chosen = self.frame[self.frame["split"] == split]
            if len(chosen):
                return chosen
        raise UserError("labels.csv has neither test nor validation images: train_crm needs some to report on")


@dataclass(frozen=True)
class Networks:
    """Classifier and reconstruction network, the CAM method between them, and the features of the perceptual loss."""

    classifier: Classifier
    reconstruct: ReconstructNet
    method: ModuleType
    options: dict[str, Any]
    features: LevelFeatures | None

    def to(self, place: torch.device) -> None:
        """Move all of them."""
        for module in (self.classifier, self.reconstruct, self.features):
            if module is not None:
                module.to(place).to(memory_format=torch.channels_last)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B,3,H,W) in [0, 1] -> logits (B,K), raw maps (B,K,h,w), reconstructions (B,3,H,W) in [-1, 1]."""
        normalized = self.classifier.normalize(images)
        features = self.classifier.features(normalized)
        maps = raw_maps(self.classifier, normalized, features, self.method, self.options)
        return self.classifier.logits(features), maps, self.reconstruct(maps, images.shape[-2:])

    def distance(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        """Perceptual distance of reconstructions from images, both in [-1, 1]; 0 without features."""
        if self.features is None:
            return reconstructed.new_zeros(())
        with torch.no_grad():
            truth = self.features(images)
        return perceptual.perceptual(self.features(reconstructed), truth)


def objective(networks: Networks, labels: Tensor, recipe: Recipe) -> Callable[[Any, int], dict[str, Tensor]]:
    """Classification + weighted L1, perceptual and, after the warm-up epochs, alignment terms."""
    criterion, place = image_labels.criterion(recipe.target, 0.0), device.pick()
    classes = gradients.require_pooled(networks.classifier.head, "train_crm").linear.out_features
    present = labels.bool() if labels.ndim == 2 else nn.functional.one_hot(labels, classes).bool()

    def loss(batch: tuple[Tensor, Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, segments, rows = batch[0].to(place, memory_format=torch.channels_last), batch[1].to(place), batch[2]
        with device.autocast(recipe.precision):
            logits, maps, found = networks(images)
            wanted = images * 2 - 1
            terms = {"classification": criterion(logits.float(), labels[rows].to(place))}
            terms["l1"] = (found - wanted).abs().mean()
            terms["perceptual"] = networks.distance(found, wanted)
        chosen = present[rows].to(place)
        terms["alignment"] = alignment.alignment(maps.float(), chosen, segments[:, ::2, ::2])
        aligned = recipe.alignment_weight if epoch >= recipe.warmup_epochs else 0.0
        total = terms["classification"] + recipe.l1_weight * terms["l1"] + aligned * terms["alignment"]
        return {"loss": total + recipe.perceptual_weight * terms["perceptual"], **terms}

    return loss


def train(networks: Networks, data: Data, recipe: Recipe, checkpoint: Path) -> list[dict[str, float]]:
    """Train in place on split train; one row an epoch. Both Adam optimizers are zeroed and stepped on every step."""
    chosen = data.frame[data.frame["split"] == "train"]
    labels = image_labels.targets(chosen, data.names, recipe.target)
    dataset = PairedSamples(data.images, data.segments.segments, list(chosen.index), recipe.image_size)
    networks.to(device.pick())
    blocks = image_labels.freeze(networks.classifier, recipe.trainable_blocks)
    weights = [*blocks, *networks.classifier.head.parameters()]
    rates = ((weights, recipe.learning_rate), (list(networks.reconstruct.parameters()), recipe.reconstruct_rate))
    optimizers = [loop.optimizer("adam", [{"params": part, "lr": rate}], weight_decay=0.0) for part, rate in rates]
    augmentation = Augmentation(1.0, 1.0, recipe.flip, 0.0, 0.0)

    def batches(epoch: int) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        seed = seed_of(recipe.seed, epoch)
        return Batches(dataset, recipe.batch_size, recipe.image_size, augmentation, seed, len(dataset))

    return loop.fit(
        {"classifier": networks.classifier, "reconstruct": networks.reconstruct},
        optimizers,
        [None, None],
        batches,
        objective(networks, labels, recipe),
        epochs=recipe.epochs,
        checkpoint=checkpoint,
        description="crm",
    )


@torch.no_grad()
def predictions(
    networks: Networks, images: zips.Images, ids: Sequence[str], recipe: Recipe
) -> Iterator[tuple[list[str], Tensor, Tensor, Tensor, Tensor]]:
    """(ids, images in [-1, 1], logits, maps, reconstructions) of each batch, in listing order."""
    place = device.pick()
    networks.to(place)
    dataset = samples.ImageSamples(images, ids, recipe.image_size, samples.PLAIN)
    total = math.ceil(len(ids) / recipe.batch_size)
    for pixels, found in track(samples.batches(dataset, recipe.batch_size), "reconstructions", total):
        with device.autocast(recipe.precision):
            logits, maps, rebuilt = networks(pixels.to(place, memory_format=torch.channels_last))
        yield found, pixels * 2 - 1, logits.float().cpu(), maps.float().cpu(), rebuilt.float().cpu()
