"""Oxford-IIIT Pet from a small archive in the official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.raw_archives import boxes, mask, picture, prepare, sums, tar_gz
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.data.datasets import oxford_pets
from weakseg.errors import UserError

TRIMAP = np.full((8, 12), 2)
TRIMAP[2:6, 3:9], TRIMAP[3:5, 4:8] = 3, 1
HEAD = b"<annotation><bndbox><xmin>5</xmin><ymin>4</ymin><xmax>7</xmax><ymax>20</ymax></bndbox></annotation>"
LISTED = {"Abyssinian_1": "trainval", "Abyssinian_2": "test", "great_dog_1": "trainval", "great_dog_10": "trainval"}


def annotations(**changes: bytes) -> dict[str, bytes]:
    """Entries of annotations.tar.gz; `changes` replaces some."""
    lists = {
        split: "".join(f"{image_id} 1 1 1\n" for image_id, where in LISTED.items() if where == split).encode()
        for split in ("trainval", "test")
    }
    return {
        "annotations/list.txt": b"#Image CLASS-ID\n",
        "annotations/test.txt": lists["test"],
        "annotations/trainval.txt": changes.get("trainval", lists["trainval"]),
        "annotations/trimaps/._great_dog_1.png": b"resource fork",
        "annotations/trimaps/great_dog_1.png": changes.get("trimap", mask(TRIMAP)),
        "annotations/trimaps/unlisted_1.png": mask(TRIMAP),
        "annotations/xmls/great_dog_1.xml": changes.get("head", HEAD),
    }


def write(folder: Path, **changes: bytes) -> Path:
    """Both archives; images in no order, one that no list names."""
    names = ["great_dog_1", "unlisted_1", "Abyssinian_2", "great_dog_10", "Abyssinian_1"]
    pictures = {f"images/{name}.jpg": picture() for name in names if name not in changes.get("absent", b"").decode()}
    tar_gz(folder / "images.tar.gz", {**pictures, "images/Abyssinian_1.mat": b"x"})
    tar_gz(folder / "annotations.tar.gz", annotations(**changes))
    return folder


def test_prepared(tmp_path: Path) -> None:
    source, raw = write(tmp_path / "source"), tmp_path / "raw"
    sums(source)
    oxford_pets.fetch(str(source), raw)
    paths = prepare(oxford_pets, raw, tmp_path)
    frame = labels.load_labels(paths["labels"])
    assert dict(frame["split"]) == {
        "Abyssinian_1": "train",
        "Abyssinian_2": "test",
        "great_dog_1": "train",
        "great_dog_10": "train",
    }
    assert labels.class_names(frame) == ["Abyssinian", "great dog"]
    assert zips.Images(paths["images"]).names() == list(frame.index)
    assert zips.Images(paths["images"]).read("great_dog_10") == picture()
    expected = np.zeros((8, 12))
    expected[2:6, 3:9], expected[3:5, 4:8] = 255, 2
    masks = Masks(paths["masks"])
    assert masks.names() == ["great_dog_1"]
    np.testing.assert_array_equal(masks.mask("great_dog_1"), expected)
    assert boxes(paths["boxes"]) == {"great_dog_1": [(3, 2, 9, 6)]}
    assert boxes(paths["parts"]) == {"great_dog_1": [(4, 3, 7, 8)]}


def test_labels_alone_never_open_a_mask(tmp_path: Path) -> None:
    write(tmp_path, trimap=b"no mask", head=b"no xml")
    with pytest.raises(UserError, match="head box of image 'great_dog_1' cannot be read"):
        prepare(oxford_pets, tmp_path, tmp_path / "out")
    assert len(labels.load_labels(tmp_path / "out" / "labels.csv")) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trimap": mask(TRIMAP.T)}, "mask of image 'great_dog_1' is 8x12, its image 12x8"),
        ({"trimap": mask(TRIMAP + 1)}, "trimap of image 'great_dog_1' holds other values than 1, 2, 3"),
        ({"trimap": mask(TRIMAP)[:60]}, "mask of image 'great_dog_1' cannot be read"),
        ({"head": HEAD.replace(b">5<", b">x<")}, "head box of image 'great_dog_1' cannot be read"),
        ({"absent": b"great_dog_10"}, "lacks the entry 'images/great_dog_10?.jpg'"),
        ({"trainval": b"Abyssinian_1 1\nAbyssinian_1 1\ngreat_dog_1 1\n"}, "'Abyssinian_1' is listed twice"),
        ({"trainval": b"great_dog_1 1\n"}, "label 'Abyssinian' has no training image"),
    ],
)
def test_bad_archives(tmp_path: Path, changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(oxford_pets, write(tmp_path, **changes), tmp_path / "out")


def test_official_addresses_are_pinned() -> None:
    assert [(file.name, file.checksum) for file in oxford_pets.ARCHIVES] == [
        ("images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
        ("annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
    ]
