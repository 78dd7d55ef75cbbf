"""Fixed networks whose features measure how alike two images look.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015, arXiv 1409.1556.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import IMAGENET_MEAN, IMAGENET_STD, Classifier
from weakseg.networks.loading import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

Perceptual = Literal["none", "vgg19", "classifier"]
VGG19 = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512)
RELUS = (1, 6, 11, 20, 29)  # numbers of relu1_1 relu2_1 relu3_1 relu4_1 relu5_1 in torchvision's `features`
MOST_LEVELS = 5  # of a classifier


class LevelFeatures(nn.Module):
    """Outputs of the blocks with the given `numbers`, of a chain of frozen ones, for images in [-1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, blocks: nn.Sequential, numbers: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.blocks = blocks[: numbers[-1] + 1].requires_grad_(False).eval()
        self.numbers = numbers
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B,3,H,W) in [-1, 1] -> one (B,C,h,w) for each number."""
        features, outputs = ((images + 1) / 2 - self.mean) / self.std, []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in self.numbers:
                outputs.append(features)
        return outputs


def build_vgg19() -> nn.Sequential:
    """VGG-19 up to relu5_1, numbered as torchvision's `features`."""
    layers: list[nn.Module] = []
    channels = 3
    for item in VGG19:
        if item == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, int(item), 3, padding=1), nn.ReLU()]
            channels = int(item)
    return nn.Sequential(*layers)


def load_vgg19(path: Path) -> LevelFeatures:
    """VGG-19 up to relu5_1 with torchvision's weights; UserError when the file is absent, empty or unlike it."""
    try:
        held = checkpoints.read(path)
    except UserError as error:
        raise UserError(
            f"perceptual: vgg19 has no weights ({error}): download torchvision's or a file of your own,"
            " or choose classifier or none"
        ) from None
    blocks = build_vgg19()
    wanted = {f"features.{name}" for name in blocks.state_dict()}
    state = {name.removeprefix("features."): value for name, value in held.items() if name in wanted}
    checkpoints.check(blocks, state, (), path)
    blocks.load_state_dict(state)
    return LevelFeatures(blocks, RELUS, IMAGENET_MEAN, IMAGENET_STD)


def copy_levels(classifier: Classifier) -> LevelFeatures:
    """A frozen copy of the classifier's blocks as they are now, seen after each of its last (at most five) levels."""
    blocks = copy.deepcopy(classifier.blocks)
    numbers = tuple(range(max(0, len(blocks) - MOST_LEVELS), len(blocks)))
    return LevelFeatures(blocks, numbers, classifier.mean, classifier.std)


def build(name: Perceptual, path: Path, weight: float, classifier: Classifier) -> LevelFeatures | None:
    """The features of `none` (None), `vgg19` (weights from `path`) or `classifier`, for a term of `weight`.

    UserError for vgg19 without its file, and a weight without features.
    """
    if name == "none":
        if weight:
            raise UserError(f"perceptual_weight is {weight} but perceptual is none: choose vgg19 or classifier, or 0")
        return None
    return load_vgg19(path) if name == "vgg19" else copy_levels(classifier)
