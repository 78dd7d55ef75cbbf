"""COCO 2017 from small archives in the official layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.raw_archives import picture, prepare, sums, zipped
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.artifacts.truth import load_boxes
from weakseg.data.datasets import coco
from weakseg.errors import UserError

SIZE = {"width": 12, "height": 8}
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
SQUARE = [[2, 1, 8, 1, 8, 6, 2, 6]]
CROWD = {"size": [8, 12], "counts": [0, 8, 88]}  # the first column


def thing(image: int, category: int, **changes: Any) -> dict[str, Any]:
    """One annotation."""
    known = {"bbox": [2, 1, 6, 5], "area": 30.0, "iscrowd": 0, "segmentation": SQUARE}
    return {"image_id": image, "category_id": category, **known} | changes


def instances(numbers: list[int], things: list[dict[str, Any]]) -> dict[str, Any]:
    """A file of annotations as data."""
    images = [{"id": number, "file_name": f"{number:012d}.jpg", **SIZE} for number in numbers]
    return {"images": images, "annotations": things, "categories": CATEGORIES}


def train() -> list[dict[str, Any]]:
    """A dog with a person on it and a crowd; a person."""
    small = {"bbox": [3, 2, 2, 2], "area": 4.0, "segmentation": [[3, 2, 5, 2, 5, 4, 3, 4]]}
    crowd = {"iscrowd": 1, "area": 8, "segmentation": CROWD, "bbox": [0, 0, 1, 8]}
    return [thing(1, 1, **small), thing(1, 18), thing(1, 1, **crowd), thing(2, 1, bbox=[9, 1, 0, 5])]


def write(folder: Path, things: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    """The three archives; image 3 has no annotation."""
    for name, numbers in (("train2017", [1, 2, 3]), ("val2017", [4])):
        zipped(folder / f"{name}.zip", {f"{name}/{number:012d}.jpg": picture() for number in numbers})
    texts = {
        "train2017": instances([1, 2, 3], train() if things is None else things) | changes,
        "val2017": instances([4], [thing(4, 18)]),
    }
    entries = {f"annotations/instances_{name}.json": json.dumps(text).encode() for name, text in texts.items()}
    zipped(folder / "annotations_trainval2017.zip", entries | {"annotations/captions_val2017.json": b"{}"})
    sums(folder)
    return folder


def test_prepared(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    coco.fetch(str(write(tmp_path / "source")), raw)
    paths = prepare(coco, raw, tmp_path)
    frame = labels.load_labels(paths["labels"])
    assert dict(zip(frame.index, zip(frame["split"], frame["labels"], strict=True), strict=True)) == {
        "000000000001": ("train", ("dog", "person")),
        "000000000002": ("train", ("person",)),
        "000000000004": ("test", ("dog",)),
    }
    assert zips.Images(paths["images"]).names() == list(frame.index)
    expected = np.zeros((8, 12), int)
    expected[:, 0], expected[1:6, 2:8] = 255, 1
    found = Masks(paths["masks"]).mask("000000000001")
    expected[2:4, 3:5] = 2  # the person, though it is listed before the dog
    np.testing.assert_array_equal(found, expected)
    assert load_boxes(paths["boxes"]).to_numpy().tolist() == [
        ["000000000001", 2, 1, 8, 6],
        ["000000000001", 3, 2, 5, 4],
        ["000000000004", 2, 1, 8, 6],
    ]


def test_a_polygon_covers_the_pixels_whose_middle_it_holds() -> None:
    inside = coco.draw(coco.read_outline([[2, 1, 8, 1, 8, 6, 2, 6]]), (8, 12))
    rows, columns = np.indices((8, 12)) + 0.5
    middle = (columns > 2) & (columns < 8) & (rows > 1) & (rows < 6)
    np.testing.assert_array_equal(inside, middle)


def test_runs_go_down_the_columns() -> None:
    inside = coco.draw(coco.read_outline({"size": [2, 3], "counts": [1, 2, 3]}), (2, 3))
    np.testing.assert_array_equal(inside, [[False, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("things", "message"),
    [
        ([thing(1, 99)], "annotations of train2017 cannot be read .KeyError: 99"),
        ([thing(1, 1, bbox=[1, 2])], "annotations of train2017 cannot be read .ValueError"),
        ([thing(1, 1, bbox=None)], "annotations of train2017 cannot be read .TypeError"),
        ([thing(1, 1, segmentation=[[1, 2, 3]])], "cannot be read .ValueError: cannot reshape"),
        ([thing(1, 1, segmentation=[[1e30, 2, 3, 4]])], "cannot be read .ValueError: a polygon out of all bounds"),
        ([thing(1, 1, segmentation={"size": [8, 12], "counts": "abc"})], "cannot be read .ValueError: compressed runs"),
        ([thing(1, 1, segmentation={"size": [8, 12], "counts": [5]})], "runs that do not fill the image"),
        ([thing(1, 1, segmentation={"size": [2, 3], "counts": [6]})], "'000000000001' has a thing with runs of 3x2"),
        ([thing(1, 1, bbox=[40, 1, 3, 3])], "of image '000000000001' covers nothing of its 12x8 pixels"),
    ],
)
def test_bad_annotations(tmp_path: Path, things: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(coco, write(tmp_path / "raw", [*things, *train()]), tmp_path)


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "000000000001.jpg", "width": 120, "height": 8}]
    raw = write(tmp_path / "raw", [thing(1, 1), thing(1, 18)], images=images)
    with pytest.raises(UserError, match="'000000000001' has 12x8 pixels, its annotation says 120x8"):
        prepare(coco, raw, tmp_path)


def test_an_image_that_the_archive_lacks_is_named(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "../1.jpg", **SIZE}]
    with pytest.raises(UserError, match="lacks the entry"):
        prepare(coco, write(tmp_path / "raw", [thing(1, 1), thing(1, 18)], images=images), tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["bbox", "segmentation", "area", "iscrowd", "category_id", "image_id"]), VALUES)
def test_any_annotation_ends_in_pictures_or_one_sentence(key: str, value: Any) -> None:
    content = json.dumps(instances([1], [thing(1, 1, **{key: value}), thing(1, 18)])).encode()
    try:
        for image_id, found in coco.read_pictures(content, "train2017", outlines=True).items():
            assert coco.paint(found, {"dog": 1, "person": 2}, image_id).shape == (8, 12)
    except UserError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | VALUES.map(json.dumps).map(str.encode))
def test_any_file_ends_in_pictures_or_one_sentence(content: bytes) -> None:
    try:
        coco.read_pictures(content, "train2017", outlines=True)
    except UserError as error:
        assert "annotations of train2017 cannot be read" in str(error) and "\n" not in str(error)


def test_official_addresses_are_pinned() -> None:
    assert [(file.name, file.checksum[:12]) for file in coco.ARCHIVES] == [
        ("train2017.zip", "md5:cced6f7f"),
        ("val2017.zip", "md5:442b8da7"),
        ("annotations_trainval2017.zip", "md5:f4bbac64"),
    ]
