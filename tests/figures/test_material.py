"""What the report reads: everything of this run under its place, nothing of the networks of an earlier one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weakseg.artifacts.formats import zips
from weakseg.errors import UserError
from weakseg.figures import material
from weakseg.harness import files

FOLDERS = ("plots", "tables", "pictures")


def collect(folder: Path, *networks: str) -> material.Material:
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    return material.collect(networks, **{name: folder / name for name in FOLDERS})


def touch(folder: Path, *places: str) -> None:
    for place in places:
        files.save_csv(folder / f"plots/{place}.csv", [{"loss": 1}])


def test_each_file_has_its_place(tmp_path: Path):
    files.save_csv(tmp_path / "plots/boxes/net.v2.csv", [{"threshold": 0.1, "score": 0.5}])
    files.save_csv(tmp_path / "plots/masks/steps.csv", [])
    zips.save_png(tmp_path / "pictures/masks/deep/worst.png", np.zeros((4, 4, 3), np.uint8))
    files.save_bytes(tmp_path / "plots/.gitignore", b"/masks\n")
    found = collect(tmp_path, "net.v2")
    assert found.tables["boxes"]["net.v2"].to_dict("list") == {"threshold": [0.1], "score": [0.5]}
    assert found.tables["masks"]["steps"].empty
    assert found.pictures["masks"]["deep/worst"].startswith(b"\x89PNG")
    assert found.stages() == ["boxes", "masks"]


def test_lists_of_figures_are_told_by_their_place(tmp_path: Path):
    rows = [{"name": "images", "value": "110"}, {"name": "share", "value": "0.25"}, {"name": "rule", "value": "any"}]
    for place in ("masks", "boxes/resnet", "boxes/other"):
        files.save_csv(tmp_path / f"tables/{place}.csv", [*rows, {"name": "undefined", "value": ""}])
    found = collect(tmp_path, "resnet", "other")
    expected = {"images": 110, "share": 0.25, "rule": "any", "undefined": None}
    assert found.figures == {"masks": {"": expected}, "boxes": {"resnet": expected, "other": expected}}
    assert isinstance(found.figures["masks"][""]["images"], int)
    assert not found.tables


def test_a_table_of_another_name_stays_a_table(tmp_path: Path):
    files.save_csv(tmp_path / "tables/masks/steps.csv", [{"split": "test", "step": "seed"}])
    found = collect(tmp_path, "resnet")
    assert list(found.tables["masks"]) == ["steps"] and not found.figures


def test_other_networks_beside_one_of_this_run_are_former(tmp_path: Path):
    touch(tmp_path, "train/resnet", "train/old", "train/older", "masks/steps", "masks/worst", "prepare")
    found = collect(tmp_path, "resnet", "slak")
    assert {stage: list(items) for stage, items in found.tables.items()} == {
        "masks": ["steps", "worst"], "prepare": [""], "train": ["resnet"],
    }  # fmt: skip


def test_a_former_network_is_left_out_of_every_folder_and_stage(tmp_path: Path):
    """The stage `crm` ran for the old network alone, and one network is no part of another's name."""
    touch(tmp_path, "train/old", "crm/old", "crm/older")
    zips.save_png(tmp_path / "pictures/train/resnet.png", np.zeros((4, 4, 3), np.uint8))
    zips.save_png(tmp_path / "pictures/crm/old/first.png", np.zeros((4, 4, 3), np.uint8))
    found = collect(tmp_path, "resnet")
    assert {stage: list(items) for stage, items in found.tables.items()} == {"crm": ["older"]}
    assert {stage: list(items) for stage, items in found.pictures.items()} == {"train": ["resnet"]}


def test_a_picture_of_one_pixel_is_nothing_to_show(tmp_path: Path):
    zips.save_png(tmp_path / "pictures/crm/resnet.png", np.zeros((1, 1, 3), np.uint8))
    assert collect(tmp_path, "resnet").pictures == {}


def test_empty_folders_and_a_missing_one(tmp_path: Path):
    assert collect(tmp_path) == material.Material()
    (tmp_path / "plots").rmdir()
    with pytest.raises(UserError, match="plots does not exist"):
        material.collect([], **{name: tmp_path / name for name in FOLDERS})
