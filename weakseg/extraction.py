"""From a batch of images to what data/cams holds: scores of the chosen classes, feature norm, projected features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weakseg import class_rules, multiscale
from weakseg.artifacts.activations import CamEntry
from weakseg.harness import device
from weakseg.levels import fused
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import Method, counted, evaluating, outputs
from weakseg.projection import Projection


@dataclass(frozen=True)
class Recipe:
    """Maps of `method` at `levels`, fused by `fusion`; 0 is the last level, -n is n blocks before it.

    Scores, norm and features are means over `scales` and mirror images; relu: negative scores count as zero in each.
    """

    method: Method
    levels: Sequence[int]
    fusion: str
    norm_level: int
    feature_level: int
    scales: Sequence[float]
    flip: bool
    relu: bool
    precision: str


@dataclass(frozen=True)
class Extractor:
    """A classifier, a recipe, the rule for images without label, and the projection of the features (None: all)."""

    classifier: Classifier
    recipe: Recipe
    predicted: Callable[[Tensor], list[list[int]]]
    projection: Projection | None

    def look(self, images: Tensor) -> dict[int, Tensor]:
        """Features at every level the recipe needs, from one forward pass; keyed by the number of blocks passed."""
        recipe = self.recipe
        wanted = {*recipe.levels, recipe.norm_level, recipe.feature_level, 0}
        with device.autocast(recipe.precision):
            found = outputs(self.classifier, images, wanted)
        return {level: features.float() for level, features in found.items()}

    def at(self, known: dict[int, Tensor], level: int) -> Tensor:
        """Features at a level as the recipe counts it."""
        return known[counted(self.classifier, level)]

    def classes(self, known: dict[int, Tensor], labels: Sequence[Sequence[int] | None]) -> list[list[int]]:
        """The label's classes, or the predicted ones where it is None."""
        guesses = self.predicted(self.classifier.logits(self.at(known, 0)))
        return [guess if label is None else list(label) for guess, label in zip(guesses, labels, strict=True)]

    def arrays(self, images: Tensor, known: dict[int, Tensor], classes: Tensor) -> list[Tensor]:
        """Scores (B,K,h,w), norm (B,h,w) and features (B,D,h',w') of one view."""
        recipe, features = self.recipe, self.at(known, self.recipe.feature_level)
        scores = fused(self.classifier, recipe.levels, recipe.fusion, recipe.method, (images, known), classes)
        norm = self.at(known, recipe.norm_level).square().sum(1).sqrt()
        stored = self.projection(features) if self.projection else features
        return [scores.relu() if recipe.relu else scores, norm, stored]

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Sequence[Sequence[int] | None]) -> list[CamEntry]:
        """Entries of normalized images (B,3,H,W); `labels` holds class indices, None where they are to be predicted."""
        mean = multiscale.Mean()
        views = multiscale.views(images, self.recipe.scales, self.recipe.flip)
        with evaluating(self.classifier):
            for number, (view, mirrored) in enumerate(views):
                known = self.look(view)
                if number == 0:
                    chosen = self.classes(known, labels)
                    wanted = class_rules.padded(chosen).to(images.device)
                mean.add(self.arrays(view, known, wanted), mirrored)
        scores, norms, features = (part.cpu().numpy() for part in mean.result())
        return [
            CamEntry(scores[row, : len(ids)], torch.tensor(ids).numpy(), norms[row], features[row])
            for row, ids in enumerate(chosen)
        ]
