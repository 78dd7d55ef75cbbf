"""The numbers that decide what a classifier and its reconstruction network become."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from weakseg.harness.device import Precision


class Recipe(BaseModel, frozen=True):
    """Fine-tuning by reconstruction (T. Chen et al., 2024, arXiv 2401.11122)."""

    seed: int
    image_size: int  # pixels, images are warped to a square
    epochs: int
    warmup_epochs: int  # before the alignment term joins
    batch_size: int
    flip: bool  # mirror half of the images
    trainable_blocks: int  # last blocks of the classifier that train; -1 all, 0 the head alone
    fixed_norm: bool  # the classifier's BatchNorm keeps its statistics
    learning_rate: float  # of the classifier, Adam
    reconstruct_rate: float  # of the reconstruction network, Adam
    width: int  # channels of the reconstruction network at feature resolution
    l1_weight: float
    perceptual: Literal["none", "vgg19", "classifier"]  # fixed features of the perceptual term
    perceptual_weight: float
    alignment_weight: float  # of the superpixel term
    precision: Precision

    def what_resumes(self) -> dict[str, Any]:
        """The parameters that a checkpoint belongs to: all, but for the number of epochs."""
        return self.model_dump(exclude={"epochs"})
