"""A classifier together with a network that reconstructs the image from its activation maps.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: an L1 term (its weight 0 gives the paper's loss), and maps of any CAM method, not of CAM alone.
Methods with a closed form for pooled heads are differentiated as they are; the value of any other one (Score-CAM)
takes the gradient of CAM (straight-through).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View
from weakseg.data.samples import Reader
from weakseg.data.showing import Shown
from weakseg.errors import UserError
from weakseg.harness.choices import Choice
from weakseg.networks.classifier import Classifier
from weakseg.networks.reconstruction.fixed_features import LevelFeatures
from weakseg.networks.reconstruction.reconstructor import ReconstructNet
from weakseg.training.image_labels import Dataset
from weakseg.training.losses import perceptual
from weakseg.training.recipes.crm import Recipe


def straight_through(value: Tensor, carrier: Tensor) -> Tensor:
    """`value` (B,K,h,w) with the gradient of `carrier`, scaled to the spread of `value`; equal maps give themselves."""
    spread = carrier.detach().std((2, 3), keepdim=True)
    scale = torch.where(spread > 0, value.std((2, 3), keepdim=True) / spread.where(spread > 0, 1), 0)
    return value.detach() + scale.detach() * (carrier - carrier.detach())


def raw_maps(classifier: Classifier, images: Tensor, features: Tensor, method: Choice) -> Tensor:
    """Raw maps of all K classes, (B,K,h,w), from images and their features (B,C,h,w), with a graph.

    A method that offers `closed` is differentiated as it is, any other one takes the gradient of CAM. UserError when
    the classifier's head is not a pooled one.
    """
    head = gradients.require_pooled(classifier.head, "train_crm")
    classes = torch.arange(head.linear.out_features, device=images.device).expand(len(images), -1)
    if hasattr(method.module, "closed"):
        return method.module.closed(features, gradients.slopes(head, features, classes))
    value = method(View(images, features.detach(), head, classifier), classes)
    return straight_through(value, arithmetic.sum_channels(features, gradients.decomposition(head, features, classes)))


def weigh_terms(recipe: Recipe, terms: dict[str, Tensor], epoch: int) -> Tensor:
    """Weighted sum of classification, L1, perceptual and, after the warm-up epochs, alignment terms."""
    aligned = recipe.alignment_weight if epoch >= recipe.warmup_epochs else 0.0
    total = terms["classification"] + recipe.l1_weight * terms["l1"] + aligned * terms["alignment"]
    return total + recipe.perceptual_weight * terms["perceptual"]


class Data(Dataset):
    """Images, labels, and the class names in the classifier's order; what is held out of them, and how it is read."""

    def held_out(self) -> pd.DataFrame:
        """The labeled rows of split test, else of val; UserError when there are none."""
        for split in ("test", "val"):
            chosen = self.frame[(self.frame["split"] == split) & (self.frame["labels"].map(len) > 0)]
            if len(chosen):
                return chosen
        raise UserError(
            "labels.csv has neither test nor validation images: train_crm needs some with a label to report on"
        )

    def reader(self, ids: Sequence[str], shown: Shown) -> Reader:
        """Some of the images, as the networks are shown them outside of training."""
        return Reader(self.images, ids, shown.image_size, shown.batch_size, shown.precision)


@dataclass(frozen=True)
class Networks:
    """Classifier and reconstruction network, the CAM method between them, and the features of the perceptual loss."""

    classifier: Classifier
    reconstruct: ReconstructNet
    method: Choice
    features: LevelFeatures | None

    def to(self, device: torch.device) -> None:
        """Move all of them."""
        for module in (self.classifier, self.reconstruct, self.features):
            if module is not None:
                module.to(device).to(memory_format=torch.channels_last)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B,3,H,W) in [0, 1] -> logits (B,K), raw maps (B,K,h,w), reconstructions (B,3,H,W) in [-1, 1]."""
        normalized = self.classifier.normalize(images)
        features = self.classifier.features(normalized)
        maps = raw_maps(self.classifier, normalized, features, self.method)
        return self.classifier.logits(features), maps, self.reconstruct(maps, images.shape[-2:])

    def distance(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        """Perceptual distance of reconstructions from images, both in [-1, 1]; 0 without features."""
        if self.features is None:
            return reconstructed.new_zeros(())
        with torch.no_grad():
            truth = self.features(images)
        return perceptual.perceptual(self.features(reconstructed), truth)
