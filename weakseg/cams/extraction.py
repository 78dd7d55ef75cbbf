"""From a batch of images to what data/cams holds: scores of the chosen classes, feature norm, projected features.

The projection is onto principal axes: Pearson, "On lines and planes of closest fit to systems of points in space"
(1901).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weakseg.artifacts.activations import CamEntry
from weakseg.cams import arithmetic, multiscale
from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import Method, View, counted, evaluating, outputs

RULES = ("top1", "topk", "above")


def predicted(logits: Tensor, rule: str, *, count: int, score: float, target: str) -> list[list[int]]:
    """Classes of each row of logits (B,K), best first; each row has at least one.

    top1: the best. topk: the `count` best. above: all whose probability exceeds `score` (softmax for target `single`,
    sigmoid for `multi`), else the best. UserError on another rule.
    """
    if rule not in RULES:
        raise UserError(f"the rule for predicted classes is '{rule}': choose one of {', '.join(RULES)}")
    order = logits.argsort(dim=1, descending=True, stable=True)
    if rule == "above":
        probability = logits.softmax(1) if target == "single" else logits.sigmoid()
        counts = (probability > score).sum(1).clamp(min=1).tolist()
    else:
        counts = [1 if rule == "top1" else count] * len(logits)
    return [row[:number] for row, number in zip(order.tolist(), counts, strict=True)]


def padded(classes: Sequence[Sequence[int]]) -> Tensor:
    """Ragged class lists as (B,K) int64, short rows filled up with their own first class; a row has at least one."""
    width = max(len(row) for row in classes)
    return torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in classes])


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
                    wanted = padded(chosen).to(images.device)
                mean.add(self.arrays(view, known, wanted), mirrored)
        scores, norms, features = (part.cpu().numpy() for part in mean.result())
        return [
            CamEntry(scores[row, : len(ids)], torch.tensor(ids).numpy(), norms[row], features[row])
            for row, ids in enumerate(chosen)
        ]


def fused(
    classifier: Classifier,
    wanted: Sequence[int],
    fusion: str,
    method: Method,
    seen: tuple[Tensor, dict[int, Tensor]],
    classes: Tensor,
) -> Tensor:
    """Maps (B,K,h,w) of a method at each wanted level, fused; `seen` = (images, their `outputs` at those levels)."""
    images, known = seen
    cuts = [View(classifier, level, (images, known[counted(classifier, level)])) for level in wanted]
    return arithmetic.fuse([method(cut, images, classes) for cut in cuts], fusion)


@dataclass(frozen=True)
class Projection:
    """Mean (C,) and orthonormal axes (C,D) of cells' feature vectors."""

    mean: Tensor
    axes: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,D,h,w): coordinates along the axes, largest variance first."""
        table = (features - self.mean[:, None, None].to(features)).flatten(2)
        return (self.axes.T.to(features) @ table).unflatten(-1, features.shape[-2:])


class Moments:
    """Streaming mean and covariance of cells, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(())
        self.square = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Add the cells of features (B,C,h,w)."""
        table = features.movedim(1, -1).flatten(0, -2).double().cpu()
        self.count += len(table)
        self.total = self.total + table.sum(0)
        self.square = self.square + table.T @ table

    def principal(self, channels: int) -> Projection:
        """The `channels` axes of largest variance; an axis's largest entry is positive, which fixes its sign."""
        mean = self.total / self.count
        _, vectors = torch.linalg.eigh(self.square / self.count - torch.outer(mean, mean))
        axes = vectors.flip(1)[:, :channels]
        peaks = axes.gather(0, axes.abs().argmax(0, keepdim=True))
        return Projection(mean, axes * peaks.sign())
