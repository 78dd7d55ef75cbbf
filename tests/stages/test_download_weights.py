"""The download_weights stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages import download_weights
from weakseg.errors import UserError
from weakseg.harness import params


def run(folder: Path, backbone: str, perceptual: str) -> dict:
    """Run the stage in a folder."""
    whole = {"download_weights": {"backbone": backbone, "perceptual": perceptual}}
    checked = params.check(download_weights.Params, "download_weights", whole, Path("params.yaml"))
    out = {name: folder / f"{name}.safetensors" for name in ("backbone", "perceptual")}
    return download_weights.main(checked, **out)


def test_none_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, "none", "none") == {"backbone_tensors": 0, "perceptual_tensors": 0}
    torch.save({"features.0.bias": torch.ones(2), "classifier.0.bias": torch.ones(2)}, "weights.pth")
    assert run(tmp_path, "weights.pth", "weights.pth") == {"backbone_tensors": 2, "perceptual_tensors": 1}
    assert set(load_file("perceptual.safetensors")) == {"features.0.bias"}


def test_failure_leaves_both_previous_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.bias": torch.ones(2)}, "weights.pth")
    run(tmp_path, "weights.pth", "none")
    before = Path("backbone.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"absent.pth does not exist"):
        run(tmp_path, "none", "absent.pth")
    assert Path("backbone.safetensors").read_bytes() == before
