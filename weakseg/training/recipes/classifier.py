"""The numbers that decide what a classifier becomes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from weakseg.artifacts.formats.labels import Target
from weakseg.data.augmentation import Augmentation
from weakseg.harness.device import Precision
from weakseg.training.recipes.optimization import Optimization


class Recipe(Augmentation, Optimization, frozen=True):
    """Training on image-level labels."""

    seed: int
    image_size: int  # pixels, images are warped to a square
    target: Target  # single: cross-entropy; multi: soft margin
    center_crop: float  # share of the shorter side that validation and predictions see, a square; 0: all, warped
    epochs: int
    patience: int  # epochs without a better validation accuracy
    batch_size: int
    head_batch_size: int  # where the head alone trains, on stored features
    learning_rate: float  # of the blocks
    head_learning_rate: float
    label_smoothing: float
    trainable_blocks: int  # last blocks that train; -1 all, 0 the head alone
    dice_weight: float  # of the Dice term against the maps' own threshold
    dice: Literal["share", "sigmoid"]  # of a map: value over its maximum, or, as published, its sigmoid
    dice_threshold: float  # of `dice`, in [0, 1]
    dice_rounds: int  # of region growing on the Dice term's target
    keep_every: int  # epochs after which the weights are kept beside the final ones; 0: never
    precision: Precision

    @property
    def goes_on(self) -> bool:
        """Whether more epochs can go on from the last: no schedule looks at their number, and none has kept weights."""
        return self.schedule in ("constant", "plateau") and self.keep_every == 0 and self.trainable_blocks != 0

    def what_resumes(self) -> dict[str, Any]:
        """The parameters that a checkpoint belongs to: all, but for the number of epochs where it can go on."""
        return self.model_dump(exclude={"epochs"} if self.goes_on else None)

    @model_validator(mode="after")
    def the_dice_term_has_maps_to_train(self) -> Recipe:
        """Parameters of the Dice term that would change nothing are refused."""
        if self.dice_weight and self.trainable_blocks == 0:
            raise ValueError(
                "dice_weight needs blocks that train: set trainable_blocks to -1 or more, or dice_weight 0"
            )
        if self.dice_rounds and not self.dice_weight:
            raise ValueError(
                "dice_rounds needs the Dice term: give dice_weight a value, published 0.1, or dice_rounds 0"
            )
        return self
