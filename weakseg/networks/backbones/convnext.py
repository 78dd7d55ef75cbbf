"""ConvNeXt.

Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell, S. Xie, "A ConvNet for the 2020s", 2022, arXiv:2201.03545
Differs from the paper: `small` is for 96-pixel images: two stages, a stem of small convolutions, BatchNorm in its
blocks, a layer scale that starts at 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from weakseg.networks.classifier import HALF, Classifier, find_variant
from weakseg.networks.layers.conv_stem import build_conv_stem
from weakseg.networks.layers.initialize import draw_torch_default
from weakseg.networks.loading import checkpoints, from_timm
from weakseg.networks.loading.from_timm import Variant

if TYPE_CHECKING:
    from timm.models.convnext import ConvNeXt

DIMS = (32, 96, 96, 96)


def suit_short_training(network: ConvNeXt) -> nn.Module:
    """Two stages, a stem of small convolutions, LayerNorm in the head, torch's own initial weights.

    It learns in hundreds of steps, and has the shape of the small SLaK around a plain 7x7 kernel.
    """
    from timm.layers import LayerNorm2d

    network.stages = network.stages[:2]
    network.feature_info = network.feature_info[:2]
    network.stem = build_conv_stem(DIMS[0])
    network.head.norm = LayerNorm2d(network.num_features, eps=1e-6)
    return network.apply(draw_torch_default)


SMALL = {
    "depths": (1, 2, 0, 0),
    "dims": DIMS,
    "conv_mlp": True,
    "norm_layer": "batchnorm2d",
    "output_stride": 8,
    "ls_init_value": 1.0,
}
VARIANTS = {
    "small": Variant("convnext_atto", SMALL, mean=HALF, std=HALF, adapt=suit_short_training),
    "convnext_tiny": Variant("convnext_tiny"),
    "convnext_small": Variant("convnext_small"),
    "convnext_base": Variant("convnext_base"),
    "convnext_large": Variant("convnext_large"),
}
# Facebook's keys -> timm's: the stem and what halves the resolution are one list there, the parts of a block have
# other names, and stages.2.5.pwconv1 is block 5 of stage 2.
FACEBOOK: checkpoints.Rules = (
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d+)\.", r"stages.\1.downsample."),
    (r"^stages\.(\d+)\.(\d+)\.dwconv\.", r"stages.\1.blocks.\2.conv_dw."),
    (r"^stages\.(\d+)\.(\d+)\.pwconv(\d)\.", r"stages.\1.blocks.\2.mlp.fc\3."),
    (r"^stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.fc.\1"),
)
# torchvision's keys -> timm's: features 1, 3, 5, 7 are the stages 0 to 3, and 2, 4, 6 what stands before stages 1 to 3.
TORCHVISION_PARTS = {
    "block.0": "conv_dw",
    "block.2": "norm",
    "block.3": "mlp.fc1",
    "block.5": "mlp.fc2",
    "layer_scale": "gamma",
}
TORCHVISION: checkpoints.Rules = (
    (r"^features\.0\.", "stem."),
    (r"^features\.([246])\.", lambda match: f"stages.{int(match[1]) // 2}.downsample."),
    (
        r"^features\.([1357])\.(\d+)\.(block\.[0235]|layer_scale)",
        lambda match: f"stages.{int(match[1]) // 2}.blocks.{match[2]}.{TORCHVISION_PARTS[match[3]]}",
    ),
    (r"^classifier\.0\.", "head.norm."),
    (r"^classifier\.2\.", "head.fc."),
)


def convert(state: checkpoints.State) -> checkpoints.State:
    """Facebook's or torchvision's keys as timm's; timm's own stay."""
    # torchvision's layer_scale is (C,1,1), timm's gamma (C,).
    state = {key: value.flatten() if key.endswith("layer_scale") else value for key, value in state.items()}
    return checkpoints.rename(state, (*FACEBOOK, *TORCHVISION))


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or a file with timm's, Facebook's or torchvision's keys."""
    return from_timm.build(find_variant(VARIANTS, variant, "convnext"), classes, weights, convert)
