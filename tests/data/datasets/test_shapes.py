"""The embedded data: deterministic, balanced, with masks, boxes and head boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.raw_archives import ALL, boxes, prepare
from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.formats.labels import class_names, load_labels
from weakseg.artifacts.formats.one_zip import Zip
from weakseg.data.datasets import shapes
from weakseg.data.sources import drawing
from weakseg.data.sources.normal_form import Selection
from weakseg.errors import UserError

SIZES = {"train_images": 13, "test_images": 6, "image_size": 64, "seed": 3}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nineteen drawings."""
    folder = tmp_path_factory.mktemp("raw")
    shapes.fetch("official", folder, **SIZES)
    return folder


def test_prepared(raw: Path, tmp_path: Path) -> None:
    paths = prepare(shapes, raw, tmp_path)
    frame = load_labels(paths["labels"])
    assert class_names(frame) == sorted(drawing.KINDS)
    per_class = pd.Series([labels[0] for labels in frame["labels"][frame["split"] == "train"]]).value_counts()
    assert set(per_class) == {2, 3}
    objects, heads = boxes(paths["boxes"]), boxes(paths["parts"])
    for image_id, row in frame.iterrows():
        mask = masks.Masks(paths["masks"]).mask(image_id)
        assert zips.Images(paths["images"]).image(image_id).shape == (64, 64, 3)
        assert set(np.unique(mask)) == {0, 1 + class_names(frame).index(row["labels"][0])}
        (x0, y0, x1, y1), (h0, g0, h1, g1) = objects[image_id][0], heads[image_id][0]
        assert mask[y0:y1, x0:x1].any() and (mask > 0).sum() == (mask[y0:y1, x0:x1] > 0).sum()
        assert x0 <= h0 < h1 <= x1 and y0 <= g0 < g1 <= y1


def test_same_bytes_for_the_same_seed_and_others_for_another(raw: Path, tmp_path: Path) -> None:
    shapes.fetch("official", tmp_path / "same", **SIZES)
    shapes.fetch("official", tmp_path / "other", **(SIZES | {"seed": 4}))
    for path in raw.iterdir():
        assert path.read_bytes() == (tmp_path / "same" / path.name).read_bytes()
    assert (raw / "images.zip").read_bytes() != (tmp_path / "other" / "images.zip").read_bytes()


def test_a_drawing_does_not_depend_on_how_many_there_are(raw: Path, tmp_path: Path) -> None:
    shapes.fetch("official", tmp_path, **(SIZES | {"train_images": 8}))
    few, many = Zip(tmp_path / "images.zip"), Zip(raw / "images.zip")
    names = [few.stem(place) for place in range(len(few))]
    assert len(names) == 14 and all(few.read(name) == many.read(name) for name in names)


def test_limit_keeps_so_many_of_each_kind(raw: Path, tmp_path: Path) -> None:
    frame = load_labels(prepare(shapes, raw, tmp_path, Selection(1, 0.0, 0.0))["labels"])
    assert dict(frame["split"].value_counts()) == {"train": 6, "test": 6}
    assert ALL.images_per_class == 0


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("/data", {}, "'shapes' is drawn, download.source '/data' cannot be used"),
        ("official", {"train_images": 5}, "train_images 5 and test_images 6 must be 6 or more"),
        ("official", {"image_size": 32}, "image_size 32 48 or more"),
        ("official", {"seed": -1}, "seed -1 0 or more"),
    ],
)
def test_bad_options(tmp_path: Path, source: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        shapes.fetch(source, tmp_path, **(SIZES | changes))
    assert list(tmp_path.iterdir()) == []
