"""CUB-200-2011 from a small archive in the official layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raw_archives import boxes, picture, prepare, sums, tar_gz
from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.formats.labels import load_labels
from weakseg.data.datasets import cub
from weakseg.errors import UserError

ROOT = "CUB_200_2011"
TABLES = {
    "images": "1 001.Black_footed_Albatross/One_1.jpg\n2 001.Black_footed_Albatross/Two_2.jpg\n"
    "7 002.Crow/Three_3.jpg\n",
    "classes": "1 001.Black_footed_Albatross\n2 002.Crow\n",
    "image_class_labels": "1 1\n2 1\n7 2\n",
    "train_test_split": "1 1\n2 0\n7 1\n",
    "bounding_boxes": "1 2.0 1.5 5.0 4.0\n2 -1.0 3.0 99.0 99.0\n7 0.0 0.0 12.0 8.0\n",
}


def write(folder: Path, **tables: str) -> Path:
    """The archive, its tables after the images, with `tables` changed."""
    pictures = {
        f"{ROOT}/images/002.Crow/Three_3.jpg": picture(mode="L"),
        f"{ROOT}/images/001.Black_footed_Albatross/Two_2.jpg": picture(),
        f"{ROOT}/images/001.Black_footed_Albatross/One_1.jpg": picture(),
        f"{ROOT}/parts/parts.txt": b"1 back",
        "attributes.txt": b"1 x",
    }
    lines = {f"{ROOT}/{name}.txt": text.encode() for name, text in (TABLES | tables).items()}
    tar_gz(folder / "CUB_200_2011.tgz", pictures | lines)
    return folder


def test_prepared(tmp_path: Path) -> None:
    source, raw = write(tmp_path / "source"), tmp_path / "raw"
    sums(source)
    cub.fetch(str(source), raw)
    paths = prepare(cub, raw, tmp_path)
    frame = load_labels(paths["labels"])
    assert frame[["split", "labels"]].to_dict("index") == {
        "One_1": {"split": "train", "labels": ("Black footed Albatross",)},
        "Three_3": {"split": "train", "labels": ("Crow",)},
        "Two_2": {"split": "test", "labels": ("Black footed Albatross",)},
    }
    assert zips.Images(paths["images"]).image("Three_3").shape == (8, 12, 3)
    assert boxes(paths["boxes"]) == {"One_1": [(2, 1.5, 7, 5.5)], "Two_2": [(0, 3, 12, 8)], "Three_3": [(0, 0, 12, 8)]}
    assert len(masks.Masks(paths["masks"])) == 0 and boxes(paths["parts"]) == {}


def test_image_without_box_is_normal(tmp_path: Path) -> None:
    paths = prepare(cub, write(tmp_path, bounding_boxes="1 2 1 5 4\n"), tmp_path / "out")
    assert set(boxes(paths["boxes"])) == {"One_1"}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"image_class_labels": "1 1\n7 2\n"}, "image_class_labels.txt has no entry for id 2"),
        ({"classes": "1 001.Black_footed_Albatross\n"}, "classes.txt has no entry for id 2"),
        ({"images": TABLES["images"] + "8 002.Crow/Four_4.jpg\n"}, "image_class_labels.txt has no entry for id 8"),
        ({"images": TABLES["images"].replace("Three", "Four")}, "lacks the entry '.*/Four_3.jpg'"),
        ({"bounding_boxes": "1 2 1 5\n"}, "box of image 'One_1' is '2 1 5': it must be x y width height"),
        ({"bounding_boxes": "1 2 1 x 4\n"}, "it must be x y width height"),
        ({"bounding_boxes": "1 12 1 5 4\n"}, "covers nothing of its 12x8 pixels"),
        ({"train_test_split": "1 1\n2 0\n7 0\n"}, "label 'Crow' has no training image"),
    ],
)
def test_bad_archives(tmp_path: Path, tables: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(cub, write(tmp_path, **tables), tmp_path / "out")


def test_official_address_is_pinned() -> None:
    assert cub.ARCHIVES[0].checksum == "md5:97eceeb196236b17998738112f37df78"
