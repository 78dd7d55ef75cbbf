"""From a batch of images to what data/cams holds: scores of the chosen classes, feature norm, projected features.

The projection is onto principal axes: Pearson, "On lines and planes of closest fit to systems of points in space"
(1901).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import torch
from torch import Tensor

from weakseg.artifacts.activations import CamEntry
from weakseg.cams import affinity, arithmetic, multiscale
from weakseg.cams.predicted_classes import pad, predict_classes
from weakseg.cams.recipe import Recipe
from weakseg.cams.view import Method, select_views, wanted_levels
from weakseg.harness import device, digests
from weakseg.networks import attention
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen.once import Stored
from weakseg.networks.levels import count_blocks, evaluating, outputs


def list_attending(classifier: Classifier, recipe: Recipe) -> list[int]:
    """The blocks, counted from 1, on whose attention maps walk. UserError: one has no attention of all cells to all."""
    counts = [count_blocks(classifier, level) for level in recipe.affinity_levels] if recipe.affinity_steps else []
    for count in counts:
        attention.find_attention(classifier, count)
    return counts


def needed_levels(classifier: Classifier, recipe: Recipe) -> set[int]:
    """All levels that maps, norm, features, predictions and affinities are made from."""
    before = [count - 1 for count in list_attending(classifier, recipe)]
    return {*wanted_levels(classifier, recipe.levels), recipe.norm_level, recipe.feature_level, *before}


@dataclass(frozen=True)
class Extractor:
    """A classifier, a method with its options bound, a recipe, and the projection of the features (None: all).

    background: indices of classes that get no map.
    stored: features that the classifier gave before, at every level the recipe needs; None where there are none.
    """

    classifier: Classifier
    method: Method
    recipe: Recipe
    projection: Projection | None
    background: Set[int] = frozenset()
    stored: Stored | None = None

    def digest(self) -> str:
        """Of the projection, which depends on more images than the one it is used for; "" where there is none."""
        if self.projection is None:
            return ""
        arrays = self.projection.mean.cpu().numpy(), self.projection.axes.cpu().numpy()
        return digests.of_parts(*(array.tobytes() for array in arrays)).hex()

    def extract_features(self, images: Tensor, names: Sequence[str] = (), mirrored: bool = False) -> dict[int, Tensor]:
        """Features at every level the recipe needs, from one forward pass; keyed by the number of blocks passed.

        Stored ones are found by `names`; without names the images are of another size.
        """
        needed = needed_levels(self.classifier, self.recipe)
        with device.autocast(self.recipe.precision):
            if self.stored and names and self.stored.serves(names):
                found = self.stored.outputs(names, mirrored, needed)
            else:
                found = outputs(self.classifier, images, needed)
        return {level: features.float() for level, features in found.items()}

    def at(self, known: dict[int, Tensor], level: int) -> Tensor:
        """Cells at a level as the recipe counts it."""
        count = count_blocks(self.classifier, level)
        return self.classifier.cells(known[count], count)

    def choose_classes(self, known: dict[int, Tensor], labels: Sequence[Sequence[int] | None]) -> list[list[int]]:
        """The label's classes, or the predicted ones where it is None; those of the background are left out."""
        logits = self.classifier.logits(known[self.classifier.levels])
        guesses = predict_classes(logits, self.classifier.probabilities(logits), self.recipe)
        chosen = [guess if label is None else label for guess, label in zip(guesses, labels, strict=True)]
        return [[one for one in classes if one not in self.background] for classes in chosen]

    def compute_arrays(self, images: Tensor, known: dict[int, Tensor], classes: Tensor) -> list[Tensor]:
        """Scores (B,K,h,w), norm (B,h,w) and features (B,D,h',w') of one copy of the images."""
        recipe, features = self.recipe, self.at(known, self.recipe.feature_level)
        views = select_views(self.classifier, images, known, recipe.levels)
        scores = arithmetic.fuse([self.method(view, classes) for view in views], recipe.fusion)
        scores = self.propagate(scores.relu() if recipe.relu else scores, known)
        norm = arithmetic.norm(self.at(known, recipe.norm_level))
        stored = self.projection(features) if self.projection else features
        return [scores, norm, stored]

    def propagate(self, scores: Tensor, known: dict[int, Tensor]) -> Tensor:
        """Scores (B,K,h,w) after the recipe's walk on the attention between cells."""
        counts = list_attending(self.classifier, self.recipe)
        if not counts:
            return scores
        weights = attention.between_cells(self.classifier, known, counts)
        transition = affinity.find_transition(weights, self.recipe.affinity_power)
        return affinity.propagate(scores, transition, self.recipe.affinity_steps)

    @torch.no_grad()
    def __call__(
        self, images: Tensor, labels: Sequence[Sequence[int] | None], names: Sequence[str] = ()
    ) -> list[CamEntry]:
        """Entries of normalized images (B,3,H,W); `labels` holds class indices, None where they are to be predicted.

        names: ids of the images, which stored features are found by. An image without a class has no map (K = 0).
        """
        mean = multiscale.Mean()
        copies = multiscale.scale_and_mirror(images, self.recipe.scales, self.recipe.mirror)
        with evaluating(self.classifier):
            for number, (copy, mirrored) in enumerate(copies):
                known = self.extract_features(copy, names if copy.shape == images.shape else (), mirrored)
                if number == 0:
                    chosen = self.choose_classes(known, labels)
                    wanted = pad(chosen).to(images.device)
                mean.add(self.compute_arrays(copy, known, wanted), mirrored)
        scores, norms, features = (part.cpu().numpy() for part in mean.result())
        return [
            CamEntry(scores[row, : len(ids)], torch.tensor(ids).numpy(), norms[row], features[row])
            for row, ids in enumerate(chosen)
        ]


@dataclass(frozen=True)
class Projection:
    """Mean (C,) and orthonormal axes (C,D) of cells' feature vectors."""

    mean: Tensor
    axes: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,D,h,w): coordinates along the axes, largest variance first."""
        table = (features - device.put_beside(self.mean[:, None, None], features)).flatten(2)  # (B,C,hw)
        return (device.put_beside(self.axes.T, features) @ table).unflatten(-1, features.shape[-2:])


class Moments:
    """Streaming mean and covariance of cells, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(())
        self.square = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Add the cells of features (B,C,h,w)."""
        table = features.movedim(1, -1).flatten(0, -2).cpu().double()  # (B,C,h,w) -> (B h w,C)
        self.count += len(table)
        self.total = self.total + table.sum(0)
        self.square = self.square + table.T @ table

    def principal(self, channels: int) -> Projection:
        """The `channels` axes of largest variance; an axis's largest entry is positive, which fixes its sign."""
        mean = self.total / self.count
        _, vectors = torch.linalg.eigh(self.square / self.count - torch.outer(mean, mean))
        axes = vectors.flip(1)[:, :channels]  # (C,D): eigh sorts ascending
        peaks = axes.gather(0, axes.abs().argmax(0, keepdim=True))
        return Projection(mean, axes * peaks.sign())
