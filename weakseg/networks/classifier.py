"""A classifier is `features` then `logits`, so that class activation maps are plain functions and need no hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from weakseg.artifacts.formats.labels import Target
from weakseg.errors import UserError
from weakseg.networks.image_sizes import ImageSizes
from weakseg.networks.layers.freezing import Freezable

NORMS = ("none", "batchnorm", "layernorm")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

Variant = TypeVar("Variant")


def find_variant(variants: Mapping[str, Variant], name: str, backbone: str) -> Variant:
    """The entry `name` of a backbone's variants. UserError: no such variant (lists those there are)."""
    if name not in variants:
        raise UserError(f"backbone {backbone} has no variant '{name}': choose one of {', '.join(variants)}")
    return variants[name]


class LinearHead(nn.Module):
    """Logits (B,K) by one linear layer, `linear`, from what a head pools of features (B,C,h,w)."""

    linear: nn.Linear

    def pooled(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C'): what the linear layer sees."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,K)."""
        return self.linear(self.pooled(features))


class PooledHead(LinearHead):
    """Logits of a global average pool: (B,C,h,w) -> (B,K), the head for which activation maps have closed forms.

    kind `none`: linear(mean(f)); `batchnorm` (RepLKNet): linear(mean(BatchNorm2d(f))); `layernorm` (ConvNeXt,
    SLaK): linear(LayerNorm(mean(f))). The mean is over the h*w cells.
    """

    def __init__(self, channels: int, classes: int, norm: str = "none", eps: float = 1e-5) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"unknown norm '{norm}' of a pooled head: one of {NORMS}")
        self.kind = norm
        modules = {"none": nn.Identity, "batchnorm": nn.BatchNorm2d, "layernorm": nn.LayerNorm}
        self.norm = modules[norm]() if norm == "none" else modules[norm](channels, eps=eps)
        self.linear = nn.Linear(channels, classes)

    @property
    def weight(self) -> Tensor:
        """(K,C) weight of the linear layer."""
        return self.linear.weight

    @property
    def bias(self) -> Tensor:
        """(K,) bias of the linear layer."""
        return self.linear.bias

    def pooled(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C): what the linear layer sees."""
        if self.kind == "layernorm":
            return self.norm(features.mean((2, 3)))
        return self.norm(features).mean((2, 3))


@dataclass(frozen=True)
class Tokens:
    """What a transformer's features hold beside cells: class, register and other tokens, the same in every cell.

    carried: channels at the end of each level's features that hold them. reach: the last level whose cells reach the
    logits; where the head reads the class token alone that is the one before the last block.
    """

    carried: tuple[int, ...]
    reach: int


class Classifier(Freezable):
    """Blocks that turn normalized images (B,3,H,W) into features (B,C,h,w), and a head that turns those into logits.

    `stride` is H/h; `mean` and `std` are the per-channel constants its images are normalized with; `target` says
    whether its labels exclude each other; `sizes` which images it takes; `tokens` what its features hold beside cells.
    """

    target: Target = "single"
    sizes: ImageSizes | None = None  # None: all from the stride on
    tokens: Tokens | None = None  # None: features are cells alone

    def __init__(
        self,
        blocks: nn.Sequential,
        head: nn.Module,
        stride: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.head = head
        self.stride = stride
        self.mean = tuple(mean)
        self.std = tuple(std)

    @property
    def levels(self) -> int:
        """Number of blocks; a level counts them from 1."""
        return len(self.blocks)

    def normalize(self, images: Tensor) -> Tensor:
        """Images (B,3,H,W) in [0,1] -> (images - mean) / std."""
        mean = images.new_tensor(self.mean)[:, None, None]
        std = images.new_tensor(self.std)[:, None, None]
        return (images - mean) / std

    def check_level(self, level: int) -> int:
        """A level in 1..levels, negative ones counted from the end (-1: all blocks but the last)."""
        count = level + self.levels if level < 0 else level
        if not 1 <= count <= self.levels:
            raise UserError(f"level {level} does not exist: this classifier has levels 1 to {self.levels}")
        return count

    def features_at(self, images: Tensor, level: int) -> Tensor:
        """Features (B,C',h',w') after the first `level` blocks; level -1 stops before the last block."""
        (self.sizes or ImageSizes(self.stride)).check(*images.shape[-2:])
        # Channels last: several times faster for depthwise convolutions on a CPU, and what tensor cores want.
        images = images.contiguous(memory_format=torch.channels_last)
        return self.blocks[: self.check_level(level)](images)

    def features(self, images: Tensor) -> Tensor:
        """Normalized images (B,3,H,W) -> features (B,C,h,w)."""
        return self.features_at(images, self.levels)

    def cells(self, features: Tensor, level: int) -> Tensor:
        """The channels (B,C,h,w) of features after `level` blocks that belong to their cells."""
        return features if self.tokens is None else features[:, : features.shape[1] - self.tokens.carried[level - 1]]

    def logits(self, features: Tensor) -> Tensor:
        """Features (B,C,h,w) -> logits (B,K)."""
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images (B,3,H,W) -> logits (B,K), the composition of `features` and `logits`."""
        return self.logits(self.features(images))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B,K) -> probabilities (B,K): softmax where labels exclude each other, else sigmoid."""
        return logits.softmax(1) if self.target == "single" else logits.sigmoid()

    def freeze(self, trainable_blocks: int, *, fixed_norm: bool = False) -> None:
        """Freeze all but the head and the last `trainable_blocks` blocks (-1: none is frozen).

        Frozen blocks are kept in evaluation mode, whatever mode the classifier is put in later; with `fixed_norm` so is
        every BatchNorm layer, whose scale and shift may still train.
        """
        if trainable_blocks > self.levels:
            raise UserError(
                f"trainable_blocks is {trainable_blocks}: this network has {self.levels} blocks (-1 trains all)"
            )
        count = 0 if trainable_blocks < 0 else self.levels - trainable_blocks
        norms = [part for part in self.modules() if isinstance(part, _BatchNorm)] if fixed_norm else []
        self.hold(self.blocks[:count], still=norms)

    def trained_weights(self) -> list[nn.Parameter]:
        """The blocks' weights that are not frozen."""
        return [weight for weight in self.blocks.parameters() if weight.requires_grad]
