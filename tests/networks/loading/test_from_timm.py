"""Networks of timm, split into levels and heads, compute what timm computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.networks.backbones.networks import distance, images, shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import efficientnet, mobilenet, resnet
from weakseg.networks.backbones import timm as by_name
from weakseg.networks.loading import head_timm, split_timm

SPLITS = [
    ("test_resnet", 5, "none"),
    ("mobilenetv2_035", 9, "none"),
    ("test_efficientnet", 7, "none"),
    ("test_convnext", 5, "layernorm"),
    ("regnetx_002", 5, "none"),
    ("test_byobnet", 5, "none"),
    ("ese_vovnet19b_slim_dw", 5, "none"),
]


@pytest.mark.parametrize(("name", "levels", "kind"), SPLITS)
def test_split_equals_timm(name: str, levels: int, kind: str) -> None:
    network = shaken(timm.create_model(name, num_classes=4))
    batch = images(2, 96).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        features, logits = network.forward_features(batch), network(batch)
        classifier = split_timm.split(network, (0.5,) * 3, (0.5,) * 3)
        assert classifier.levels == levels and classifier.head.kind == kind
        assert distance(classifier.features(batch), features) < 1e-5
        assert distance(classifier(batch), logits) < 1e-5
    assert 96 // classifier.stride == features.shape[-1]


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "tf_mobilenetv3_small_minimal_100", "inception_next_atto"])
def test_other_heads_stay_timms(name: str) -> None:
    network = shaken(timm.create_model(name, num_classes=4))
    batch = images(2, 96)
    with torch.no_grad():
        logits = network(batch)
        classifier = split_timm.split(network, (0.5,) * 3, (0.5,) * 3)
        assert isinstance(classifier.head, head_timm.Forward)
        assert distance(classifier(batch), logits) < 1e-5
    names = [name for name, _ in classifier.named_parameters()]
    assert len(names) == len(list(shaken(timm.create_model(name, num_classes=4)).parameters()))


def test_unknown_layout_becomes_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_timm, "LAYOUTS", ())
    network = shaken(timm.create_model("test_resnet", num_classes=4))
    batch = images(2)
    with torch.no_grad():
        logits = network(batch)
        classifier = split_timm.split(network, (0.5,) * 3, (0.5,) * 3)
        assert classifier.levels == 1 and distance(classifier(batch), logits) < 1e-5
    assert not any("fc" in name for name, _ in classifier.blocks.named_parameters())


def test_layout_that_computes_something_else_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_timm, "LAYOUTS", ((("conv1",), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),))
    assert by_name.build("test_resnet", 4, "random").levels == 1


def test_unknown_name_suggests_close_ones() -> None:
    with pytest.raises(UserError, match=r"timm has no network 'resnet51': close names are .*resnet50"):
        by_name.build("resnet51", 4, "random")


def test_no_pretrained_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **options: object) -> None:
        raise OSError("We cannot reach the hub.\nCheck your connection.")

    monkeypatch.setattr(timm, "create_model", offline)
    message = "pretrained weights of 'resnet18' cannot be had .We cannot reach the hub.*'random'"
    with pytest.raises(UserError, match=message):
        resnet.build("resnet18", 4, "pretrained")
    with pytest.raises(UserError, match="'mobilenet small' has no pretrained weights"):
        mobilenet.build("small", 4, "pretrained")


def test_weight_file_of_the_network(tmp_path: Path) -> None:
    network = shaken(timm.create_model("mobilenetv2_100", num_classes=7, pad_type="same"))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        same = mobilenet.build("mobilenetv2_100_same", 7, str(tmp_path / "weights.safetensors")).eval()
        assert distance(same(images(1)), network(images(1))) < 1e-5
        other = mobilenet.build("mobilenetv2_100_same_os16", 5, str(tmp_path / "weights.safetensors")).eval()
    assert other.mean == other.std == (0.5,) * 3 and (same.stride, other.stride) == (32, 16)
    kept, dropped = other.state_dict(), same.state_dict()
    assert all(torch.equal(kept[key], dropped[key]) for key in kept if not key.startswith("head."))


def test_weight_file_of_another_network(tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=7)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"belongs to another network: missing keys \d+ \(blocks.0.0.bn1"):
        efficientnet.build("small", 7, str(tmp_path / "weights.safetensors"))


def test_normalization_constants_are_timms() -> None:
    network = by_name.build("test_resnet", 4, "random")
    assert network.mean == timm.get_pretrained_cfg("test_resnet").mean


@pytest.mark.parametrize(("variant", "stride"), [("resnet18", 32), ("resnet50_os16", 16), ("resnet50_os8", 8)])
def test_output_stride(variant: str, stride: int) -> None:
    network = resnet.build(variant, 4, "random").eval()
    with torch.no_grad():
        assert network.stride == stride and network.features(images(1)).shape[-1] == 64 // stride
