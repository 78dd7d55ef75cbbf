"""What training on image-level labels shares: its parameters, targets, loss and accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from weakseg.data.augment import Augmentation
from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier
from weakseg.training import loop

TARGETS = ("single", "multi")


def targets(frame: pd.DataFrame, names: list[str], target: str) -> Tensor:
    """Class ids (N,) int64 for `single`, indicators (N,K) float for `multi`, in the frame's order.

    UserError names an image without a label, and for `single` one with several.
    """
    if target not in TARGETS:
        raise UserError(f"train_classifier.target is '{target}': choose one of {', '.join(TARGETS)}")
    index = {name: position for position, name in enumerate(names)}
    for image_id, labels in frame["labels"].items():
        if not labels or (target == "single" and len(labels) > 1):
            many = "several labels" if labels else "no label"
            raise UserError(
                f"image '{image_id}' has {many}: set train_classifier.target to multi, or mend data/labels.csv"
            )
    if target == "single":
        return torch.tensor([index[labels[0]] for labels in frame["labels"]])
    result = torch.zeros(len(frame), len(names))
    for row, labels in enumerate(frame["labels"]):
        result[row, [index[label] for label in labels]] = 1
    return result


def criterion(target: str, label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with label smoothing for `single`, multi-label soft margin for `multi`."""
    if target == "single":
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return nn.MultiLabelSoftMarginLoss()


def probabilities(logits: Tensor, target: str) -> Tensor:
    """Softmax for `single`, sigmoid for `multi`; (B,K)."""
    return logits.softmax(1) if target == "single" else logits.sigmoid()


def freeze(classifier: Classifier, trainable_blocks: int) -> list[nn.Parameter]:
    """Freeze all but the head and the last `trainable_blocks` blocks (-1: train all); return the blocks' weights.

    Frozen blocks are kept in evaluation mode, whatever mode the classifier is put in later.
    """
    if trainable_blocks > classifier.levels:
        raise UserError(
            f"trainable_blocks is {trainable_blocks}: this network has {classifier.levels} blocks (-1 trains all)"
        )
    first = 0 if trainable_blocks < 0 else classifier.levels - trainable_blocks
    for block in classifier.blocks[:first]:
        block.requires_grad_(False)
        block.eval()
        block.train = lambda mode=True, block=block: block  # type: ignore[method-assign]
    return [weight for block in classifier.blocks[first:] for weight in block.parameters()]


def accuracy(probability: Tensor, labels: Tensor) -> Tensor:
    """Right or wrong, (B,) float: the top class for ids (B,), every class on its side of .5 for indicators (B,K)."""
    if labels.ndim == 1:
        return (probability.argmax(1) == labels).float()
    return ((probability > 0.5) == labels.bool()).float().mean(1)


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
    return loop.optimizer(
        recipe.optimizer, [group for group in groups if group["params"]], weight_decay=recipe.weight_decay
    )
