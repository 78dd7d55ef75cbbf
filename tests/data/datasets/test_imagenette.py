"""Imagenette from a small archive in the official layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raw_archives import ALL, boxes, picture, prepare, sums, tar_gz
from weakseg.artifacts.formats import labels, masks
from weakseg.data.datasets import imagenette
from weakseg.errors import UserError

ROOT = "imagenette2-160"
FILES = {
    f"{ROOT}/noisy_imagenette.csv": b"path",
    f"{ROOT}/val/n01440764/ILSVRC2012_val_00000293.JPEG": picture(),
    f"{ROOT}/train/n03888257/n03888257_7.JPEG": picture(mode="L"),
    f"{ROOT}/train/n01440764/ILSVRC2012_val_00002138.JPEG": picture(),
}


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """The archive."""
    tar_gz(folder / "imagenette2-160.tgz", files)
    return folder


def test_prepared(tmp_path: Path) -> None:
    source, raw = write(tmp_path / "source"), tmp_path / "raw"
    sums(source)
    imagenette.fetch(str(source), raw, size="160")
    paths = prepare(imagenette, raw, tmp_path)
    frame = labels.load_labels(paths["labels"])
    assert frame[["split", "labels"]].to_dict("index") == {
        "ILSVRC2012_val_00000293": {"split": "test", "labels": ("tench",)},
        "ILSVRC2012_val_00002138": {"split": "train", "labels": ("tench",)},
        "n03888257_7": {"split": "train", "labels": ("parachute",)},
    }
    assert len(masks.Masks(paths["masks"])) == 0 and boxes(paths["boxes"]) == boxes(paths["parts"]) == {}


@pytest.mark.parametrize("entry", ["other/n01440764/x.JPEG", "train/n99999999/x.JPEG", "train/x.JPEG"])
def test_other_layout(tmp_path: Path, entry: str) -> None:
    with pytest.raises(UserError, match=r"is not laid out as Imagenette's split/class/image"):
        prepare(imagenette, write(tmp_path, {**FILES, f"{ROOT}/{entry}": picture()}), tmp_path / "out")


def test_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 0 Imagenette archives"):
        imagenette.prepare(tmp_path, tmp_path / "images", tmp_path / "labels.csv", ALL)
    assert len(imagenette.LABELS) == 10
