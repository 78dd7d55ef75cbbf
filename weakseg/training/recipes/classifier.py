"""The numbers that decide what a classifier becomes."""

from __future__ import annotations

from weakseg.artifacts.labels import Target
from weakseg.data.augmentation import Augmentation
from weakseg.harness.device import Precision
from weakseg.training.recipes.optimization import Optimization


class Recipe(Augmentation, Optimization, frozen=True):
    """Training on image-level labels."""

    seed: int
    image_size: int  # pixels, images are warped to a square
    target: Target  # single: cross-entropy; multi: soft margin
    epochs: int
    patience: int  # epochs without a better validation accuracy
    batch_size: int
    head_batch_size: int  # where the head alone trains, on stored features
    learning_rate: float  # of the blocks
    head_learning_rate: float
    label_smoothing: float
    trainable_blocks: int  # last blocks that train; -1 all, 0 the head alone
    dice_weight: float  # of the Dice term against the maps' own threshold
    precision: Precision
