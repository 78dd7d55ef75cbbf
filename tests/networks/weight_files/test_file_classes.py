"""Where a weight file names its classes, and what does not count as a list of names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.world import CLASSES
from tests.world_networks import save_classifier
from weakseg.networks.weight_files import file_classes

STATE = {"0.weight": torch.ones(2, 3)}


def test_a_classifier_of_this_project(tmp_path: Path) -> None:
    assert file_classes.find(save_classifier(tmp_path / "one.safetensors")) == CLASSES


@pytest.mark.parametrize("key", file_classes.KEYS)
def test_safetensors_metadata(key: str, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "one.safetensors", metadata={key: json.dumps(["b", "a"])})
    assert file_classes.find(tmp_path / "one.safetensors") == ["b", "a"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["b", "a"], ["b", "a"]),
        (("b", "a"), ["b", "a"]),
        ({"a": 1, "b": 0}, ["b", "a"]),
        ({"a": 1, "b": 2}, None),
        ({"a": "x"}, None),
        (["a", "a"], None),
        (["a", " "], None),
        ([1, 2], None),
        ([], None),
        (2, None),
        ("ab", None),
    ],
)
def test_torch_files(value: Any, expected: list[str] | None, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "classes": value}, tmp_path / "one.pth")
    assert file_classes.find(tmp_path / "one.pth") == expected


def test_none(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "one.safetensors", metadata={"classes": "a, b"})
    torch.save(STATE, tmp_path / "one.pth")
    assert [file_classes.find(tmp_path / name) for name in ("one.safetensors", "one.pth")] == [None, None]
