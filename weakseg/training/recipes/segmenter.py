"""The numbers that decide what a segmenter becomes, round by round."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from weakseg.artifacts.formats.masks import MaskIds
from weakseg.data.augmentation import Augmentation
from weakseg.harness.device import Precision
from weakseg.training.recipes.optimization import Optimization

SoftOutputs = Literal["log_odds", "probabilities"]  # against the background's; their means differ, not their signs


class Training(Augmentation, Optimization, frozen=True):
    """One round of training."""

    seed: int
    image_size: int  # pixels, side in training
    steps: int  # optimizer steps of each round, where epochs is 0
    epochs: int = Field(ge=0)  # passes of each round over its usable images; 0: steps decide
    batch_size: int
    encoder_rate: float  # learning rate
    decoder_rate: float  # learning rate
    clip: float  # largest norm of the gradient
    balance: float  # class weights are share^-balance: 0 none, 1 every class counts the same
    average: float  # decay of the running mean of the weights, 0 for none
    teacher_share: float  # of the averaged network in the targets from the second pass on; 0: hard targets
    frozen_groups: int  # first parts of the encoder that do not train
    fixed_norm: bool  # the encoder's BatchNorm keeps its statistics
    precision: Precision


class Recipe(Training, frozen=True):
    """What to build, how to predict, and when to stop."""

    variant: str  # of the segmenter: topdown light, fine, wide; deeplabv3 resnet50; unet, deeplabv3plus a timm network;
    # activation linear
    weights: str  # of the encoder: random, pretrained or a file; topdown: random (it has the classifier's);
    # activation: random or classifier
    encoder_variant: str  # topdown: variant of the backbone, such as another stride; "" for the classifier's own
    mask_ids: MaskIds  # one foreground, or one mask id a class
    test_size: int  # pixels, side in prediction
    test_scales: list[float]  # of test_size; probabilities are averaged
    test_mirror: bool  # average with the mirror image
    rounds: int  # of self-training at most
    round_steps: int = Field(ge=0)  # optimizer steps of a later round, which goes on from the one before; 0: anew
    soft_outputs: SoftOutputs  # what of a round's predictions is refined for the next
    disputed_ignored: bool  # ignore pixels where refiner and network disagree
    converged: float  # foreground IoU of two rounds from which to stop
    departed: float  # foreground IoU of two rounds below which the later one is thrown away

    def of_round(self, number: int) -> Training:
        """How round `number` is trained; a later one that goes on counts its own steps."""
        length = {"steps": self.round_steps, "epochs": 0} if self.goes_on(number) else {}
        return self.model_copy(update={"seed": self.seed + number, **length})

    def goes_on(self, number: int) -> bool:
        """Whether round `number` begins with the network of the round before, and not anew from the classifier."""
        return number > 0 and self.round_steps > 0

    def what_resumes(self) -> dict[str, Any]:
        """The parameters that finished rounds belong to: all, but for those that decide how many rounds there are."""
        return self.model_dump(exclude={"rounds", "converged", "departed"})
