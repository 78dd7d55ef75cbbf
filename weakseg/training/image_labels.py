"""What training on image-level labels shares: its parameters, its data, targets, loss and accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from weakseg.artifacts.formats.labels import Target
from weakseg.artifacts.formats.zips import Images
from weakseg.errors import UserError
from weakseg.training.fitting.optimization import Groups
from weakseg.training.recipes.classifier import Recipe


def group_weights(recipe: Recipe, blocks: list[nn.Parameter], head: nn.Module) -> Groups:
    """The trained weights with their learning rates; a group without weights is left out."""
    heads = [weight for weight in head.parameters() if weight.requires_grad]
    pairs = ((blocks, recipe.learning_rate), (heads, recipe.head_learning_rate))
    return [{"params": weights, "lr": rate} for weights, rate in pairs if weights]


@dataclass(frozen=True)
class Dataset:
    """Images, their labels in the form of labels.csv, and the class names in index order."""

    images: Images
    frame: pd.DataFrame
    names: list[str]

    def labeled(self, split: str, target: Target) -> tuple[list[str], Tensor]:
        """Ids of a split's images, and their encoded labels."""
        rows = self.frame[self.frame["split"] == split]
        return rows.index.tolist(), encode(rows, self.names, target)

    def proportions(self, ids: list[str]) -> Tensor:
        """Height over width (N,) of images."""
        rows = self.frame.loc[ids]
        return torch.tensor((rows["height"] / rows["width"]).to_numpy(), dtype=torch.float32)


def encode(frame: pd.DataFrame, names: list[str], target: Target) -> Tensor:
    """Class ids (N,) int64 for `single`, indicators (N,K) float for `multi`, in the frame's order.

    An image that shows none of the classes is a row of zeros. UserError names for `single` an image that has no label,
    or several.
    """
    index = {name: position for position, name in enumerate(names)}
    for image_id, labels in frame["labels"].items():
        if target == "single" and len(labels) != 1:
            many, remedy = ("several labels", "") if labels else ("no label", ", give it split unlabeled")
            raise UserError(f"image '{image_id}' has {many}: set target to multi{remedy}, or mend its labels")
    if target == "single":
        return torch.tensor([index[labels[0]] for labels in frame["labels"]])
    result = torch.zeros(len(frame), len(names))
    for row, labels in enumerate(frame["labels"]):
        result[row, [index[label] for label in labels]] = 1
    return result


def criterion(target: Target, label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with label smoothing for `single`, multi-label soft margin for `multi`."""
    if target == "single":
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return nn.MultiLabelSoftMarginLoss()


def indicate(labels: Tensor, classes: int) -> Tensor:
    """Which classes are present, (B,K) bool, from ids (B,) or indicators (B,K)."""
    return labels.bool() if labels.ndim == 2 else nn.functional.one_hot(labels, classes).bool()


def accuracy(probability: Tensor, labels: Tensor) -> Tensor:
    """Right or wrong, (B,) float: the top class for ids (B,), every class on its side of .5 for indicators (B,K)."""
    if labels.ndim == 1:
        return (probability.argmax(1) == labels).float()
    return ((probability > 0.5) == labels.bool()).float().mean(1)
