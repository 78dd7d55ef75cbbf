"""Facebook's and torchvision's checkpoints of ConvNeXt load by key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from timm.models.convnext import checkpoint_filter_fn

from tests.networks.backbones.networks import distance, images, shaken
from weakseg.networks.backbones import convnext
from weakseg.networks.loading import from_timm

SIZES = {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 20)}
TINY = from_timm.Variant("convnext_tiny", SIZES)


def facebook(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's state under Facebook's names."""
    renamed = {}
    for key, value in state.items():
        key = re.sub(r"^stem\.", "downsample_layers.0.", key)
        key = re.sub(r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"\.blocks\.(\d+)\.", r".\1.", key)
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        renamed[key.replace("head.norm", "norm").replace("head.fc", "head")] = value
    return renamed


@pytest.mark.parametrize("wrapped", [False, True])
def test_facebooks_keys(wrapped: bool, tmp_path: Path) -> None:
    network = shaken(timm.create_model("convnext_tiny", num_classes=7, **SIZES))
    state = facebook(network.state_dict())
    assert checkpoint_filter_fn(dict(state), network).keys() == network.state_dict().keys()
    torch.save({"model": state} if wrapped else state, tmp_path / "facebook.pth")
    path = str(tmp_path / "facebook.pth")
    loaded = from_timm.build(TINY, 7, path, convnext.convert).eval()
    with torch.no_grad():
        assert distance(loaded(images(2)), network(images(2))) < 1e-5


def test_torchvisions_keys(tmp_path: Path) -> None:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    widths = (*SIZES["dims"], None)
    settings = [CNBlockConfig(widths[i], widths[i + 1], SIZES["depths"][i]) for i in range(4)]
    network = shaken(ConvNeXt(settings, num_classes=7))
    torch.save(network.state_dict(), tmp_path / "torchvision.pth")
    path = str(tmp_path / "torchvision.pth")
    loaded = from_timm.build(TINY, 7, path, convnext.convert).eval()
    with torch.no_grad():
        assert distance(loaded(images(2)), network(images(2))) < 1e-5


def test_timms_keys_stay() -> None:
    state = timm.create_model("convnext_tiny", num_classes=7, **SIZES).state_dict()
    assert list(convnext.convert(state)) == list(state)


def test_every_key_of_the_base_network_has_a_counterpart() -> None:
    with torch.device("meta"):
        state = timm.create_model("convnext_base").state_dict()
    assert convnext.convert(facebook(state)).keys() == state.keys()
