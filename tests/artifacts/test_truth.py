"""Masks and boxes: written, checked against their images, counted where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.raw_archives import boxes, mask, picture
from weakseg.artifacts import truth as artifacts_truth
from weakseg.artifacts.formats.labels import LABEL_COLUMNS, save_labels
from weakseg.artifacts.formats.masks import Masks
from weakseg.artifacts.truth import Annotation, load_boxes
from weakseg.errors import UserError

NAMES = ("labels.csv", "masks", "boxes.csv", "parts.csv")


def write(folder: Path, truths: dict[str, Annotation]) -> list[Path]:
    """Labels of three 6x4 images of two classes, and their ground truth."""
    labels, masks, box_table, parts = (folder / name for name in NAMES)
    rows = [("a", "train", ("cat",), 6, 4), ("b", "val", ("dog",), 6, 4), ("c", "test", ("dog",), 6, 4)]
    save_labels(labels, pd.DataFrame(rows, columns=LABEL_COLUMNS).set_index("image_id"))
    artifacts_truth.write(labels, lambda image_id: truths.get(image_id, Annotation()), masks, box_table, parts)
    return [labels, masks, box_table, parts]


def test_written_and_counted(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2, 255, 0, 0]] * 4, np.uint8)
    truths = {
        "a": Annotation(values, [(1, 0, 4, 4), (0, 0, 1, 1)], [(2, 1, 3, 2)]),
        "c": Annotation(boxes=[(0.5, -1, 9, 3)]),
    }
    labels, masks, box_table, parts = write(tmp_path, truths)
    np.testing.assert_array_equal(Masks(masks).mask("a"), values)
    assert Masks(masks).names() == ["a"]
    assert boxes(box_table) == {"a": [(0, 0, 1, 1), (1, 0, 4, 4)], "c": [(0.5, 0, 6, 3)]}
    assert boxes(parts) == {"a": [(2, 1, 3, 2)]}
    assert artifacts_truth.counts(labels, masks, box_table) == {
        "images": 3,
        "images_train": 1,
        "images_val": 1,
        "images_test": 1,
        "classes": 2,
        "images_without_mask": 2,
        "images_without_box": 1,
    }


def test_no_ground_truth_at_all_gives_empty_tables(tmp_path: Path) -> None:
    labels, masks, box_table, parts = write(tmp_path, {})
    assert len(Masks(masks)) == len(load_boxes(box_table)) == len(load_boxes(parts)) == 0
    assert artifacts_truth.counts(labels, masks, box_table)["images_without_mask"] == 3


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (Annotation(np.zeros((6, 4), np.uint8)), "mask of image 'a' is 4x6, its image 6x4"),
        (Annotation(np.full((4, 6), 3, np.uint8)), r"mask of image 'a' holds 3: use 0 to 2 and 255"),
        (Annotation(boxes=[(6, 0, 9, 4)]), "covers nothing of its 6x4 pixels"),
        (Annotation(boxes=[(3, 0, 3, 4)]), "covers nothing"),
        (Annotation(parts=[(float("nan"), 0, 3, 4)]), "covers nothing"),
    ],
)
def test_bad_truth_leaves_nothing(tmp_path: Path, truth: Annotation, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path, {"a": truth})
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_mask_box() -> None:
    foreground = np.zeros((5, 7), bool)
    assert artifacts_truth.mask_box(foreground) == []
    foreground[1:3, 2:6] = True
    foreground[4, 3] = True
    assert artifacts_truth.mask_box(foreground) == [(2, 1, 6, 5)]


def test_decode_mask() -> None:
    np.testing.assert_array_equal(artifacts_truth.decode_mask(mask([[0, 7], [255, 1]]), "a"), [[0, 7], [255, 1]])
    with pytest.raises(UserError, match="mask of image 'a' is a color image"):
        artifacts_truth.decode_mask(picture(), "a")
    with pytest.raises(UserError, match="mask of image 'a' cannot be read"):
        artifacts_truth.decode_mask(b"nothing", "a")
