"""`weakseg inspect FILE` names the network of a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.networks.backbones.networks import merge
from tests.world_networks import save_classifier
from weakseg.cli import inspect
from weakseg.errors import UserError
from weakseg.networks.backbones import replknet, slak
from weakseg.networks.loading import saved


def inspected(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What the command prints about a file."""
    parser = argparse.ArgumentParser()
    inspect.add(parser.add_subparsers())
    inspect.run(parser.parse_args(["inspect", str(path), *more]))
    return capsys.readouterr().out


@pytest.mark.parametrize("merged", [False, True])
def test_our_families(merged: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = replknet.build("small", 9, "random")
    torch.save({"model": (merge(network) if merged else network).state_dict()}, tmp_path / "file.pth")
    report = inspected(tmp_path / "file.pth", capsys)
    assert f"network: replknet small{' (merged)' if merged else ''}, 9 classes\n" in report
    assert report.endswith("missing: none\nunexpected: none\nother shapes: none\n")


def test_zeros_missing_and_unexpected_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = slak.build("small", 9, "random").state_dict()
    state = {key: torch.zeros_like(value) for key, value in state.items()}
    state["more"] = state.pop("blocks.0.blocks.0.gamma")
    state["blocks.1.blocks.0.gamma"] = torch.zeros(5)
    torch.save(state, tmp_path / "file.pth")
    report = inspected(tmp_path / "file.pth", capsys)
    assert "100.0% of them zero" in report and "network: slak small, 9 classes" in report
    assert "missing: 1 (blocks.0.blocks.0.gamma)\nunexpected: 1 (more)\n" in report
    assert "other shapes: 1 (blocks.1.blocks.0.gamma)" in report


def test_networks_of_timm_and_those_that_keys_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(timm.create_model("mobilenetv2_100", num_classes=4).state_dict(), tmp_path / "file.safetensors")
    report = inspected(tmp_path / "file.safetensors", capsys)
    assert "network: mobilenet mobilenetv2_100, 4 classes" in report
    assert "same keys and shapes: mobilenet mobilenetv2_100_os16, mobilenet mobilenetv2_100_same, " in report


def test_named_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(timm.create_model("regnetx_002", num_classes=4).state_dict(), tmp_path / "file.safetensors")
    report = inspected(tmp_path / "file.safetensors", capsys, "--network", "regnetx_002")
    assert "network: timm regnetx_002, 4 classes\nmissing: none" in report


def test_file_of_ours_says_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = {"backbone": "slak", "variant": "small", "classes": ["a", "b"], "image_size": 96}
    saved.save_network(tmp_path / "file.safetensors", slak.build("small", 2, "random"), header)
    report = inspected(tmp_path / "file.safetensors", capsys)
    assert "saved by weakseg: backbone slak" in report and "network: slak small, 2 classes" in report


def test_unknown_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({f"layer.{name}": torch.ones(1) for name in "abcdefgh"}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"no known network has these 8 keys .* --network"):
        inspected(tmp_path / "file.pth", capsys)


def test_hostile_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file.pth").write_bytes(b"cos\nsystem\n(S'echo run'\ntR.")
    with pytest.raises(UserError, match="is no safe weight file"):
        inspected(tmp_path / "file.pth", capsys)


def test_a_classifier_of_this_project_with_its_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = inspected(save_classifier(tmp_path / "file.safetensors"), capsys)
    assert "classes: green, red\nnetwork: mobilenet small, 2 classes\nmissing: none\n" in report


def test_classes_that_a_file_names_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = replknet.build("small", 2, "random").state_dict()
    torch.save({"model": state, "class_names": ["b", "a"]}, tmp_path / "file.pth")
    assert "classes: b, a\n" in inspected(tmp_path / "file.pth", capsys)
    torch.save(state, tmp_path / "file.pth")
    assert "classes: not named\n" in inspected(tmp_path / "file.pth", capsys)
