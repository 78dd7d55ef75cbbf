"""Families of timm's transformers, each made small, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from tests.networks.backbones.networks import shaken
from weakseg.networks.loading import from_timm
from weakseg.networks.loading.from_timm import Variant

TINY: dict[str, Any] = {"depth": 3, "embed_dim": 48, "num_heads": 2}
SMALL_ROPE: dict[str, Any] = {"depth": 3, "embed_dim": 64, "num_heads": 2}
SHORT: dict[str, Any] = {"depths": (1, 1, 2, 1), "embed_dim": 24, "num_heads": (1, 2, 4, 8)}
HALF = (0.5, 0.5, 0.5)

# Name in timm, options that make it small, side of the images, levels, whether the head is a pooled one.
FAMILIES: list[tuple[str, dict[str, Any], int, int, bool]] = [
    ("vit_tiny_patch16_224", TINY, 96, 4, False),
    ("vit_medium_patch16_gap_240", TINY, 96, 4, True),
    ("deit_tiny_patch16_224", TINY, 96, 4, False),
    ("deit_tiny_distilled_patch16_224", TINY, 96, 4, False),
    ("deit3_small_patch16_224", TINY, 64, 4, False),
    ("beit_base_patch16_224", TINY, 224, 4, True),
    ("beitv2_base_patch16_224", TINY | {"global_pool": "token"}, 224, 4, False),
    ("eva02_tiny_patch14_224", SMALL_ROPE, 84, 4, True),
    ("vit_small_patch14_dinov2", TINY, 84, 4, False),
    ("vit_small_patch14_reg4_dinov2", TINY, 70, 4, False),
    ("vit_small_patch16_dinov3", SMALL_ROPE, 96, 4, True),
    ("vit_small_patch16_dinov3", SMALL_ROPE | {"global_pool": "token"}, 96, 4, False),
    ("vit_base_patch32_clip_224", TINY, 96, 4, False),
    ("vit_base_patch16_siglip_224", TINY, 96, 4, False),
    ("samvit_base_patch16_224", TINY | {"global_attn_indexes": (1,)}, 96, 5, False),
    ("vit_tiny_r_s16_p8_224", TINY, 96, 4, False),
    ("mixer_s32_224", {}, 224, 9, True),
    ("swin_tiny_patch4_window7_224", SHORT, 96, 5, True),
    ("swinv2_tiny_window8_256", SHORT, 96, 5, True),
    ("pvt_v2_b0", {"depths": (1, 1, 1, 1)}, 96, 5, True),
    ("coatnet_nano_rw_224", {}, 224, 6, True),
    ("maxvit_nano_rw_256", {}, 256, 6, True),
]
TOKENS = [row for row in FAMILIES if row[0].startswith(("vit_", "deit", "beit", "eva")) and "_r_" not in row[0]]
CLASSES = 5


def create(name: str, options: dict[str, Any]) -> Any:
    """timm's own network with random weights that all matter."""
    torch.manual_seed(0)
    return shaken(from_timm.create_skeleton(Variant(name, options), CLASSES))
