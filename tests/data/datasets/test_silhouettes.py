"""The drawn silhouettes: deterministic, balanced, with masks and boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.raw_archives import boxes, prepare
from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.formats.labels import class_names, load_labels
from weakseg.data.datasets import silhouettes
from weakseg.data.sources import strokes
from weakseg.errors import UserError

SIZES = {"train_images": 11, "test_images": 5, "image_size": 48, "seed": 3}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen drawings."""
    folder = tmp_path_factory.mktemp("raw")
    silhouettes.fetch("official", folder, **SIZES)
    return folder


def test_prepared(raw: Path, tmp_path: Path) -> None:
    paths = prepare(silhouettes, raw, tmp_path)
    frame = load_labels(paths["labels"])
    assert class_names(frame) == sorted(strokes.KINDS) and boxes(paths["parts"]) == {}
    objects = boxes(paths["boxes"])
    for image_id, row in frame.iterrows():
        mask = masks.Masks(paths["masks"]).mask(image_id)
        assert zips.Images(paths["images"]).image(image_id).shape == (48, 48, 3)
        assert set(np.unique(mask)) == {0, 1 + class_names(frame).index(row["labels"][0])}
        (x0, y0, x1, y1) = objects[image_id][0]
        inside = mask[y0:y1, x0:x1] > 0
        assert inside.sum() == (mask > 0).sum() and all(inside.any(axis).all() for axis in (0, 1))


def test_same_bytes_for_the_same_seed_and_others_for_another(raw: Path, tmp_path: Path) -> None:
    silhouettes.fetch("official", tmp_path / "same", **SIZES)
    silhouettes.fetch("official", tmp_path / "other", **(SIZES | {"seed": 4}))
    for path in raw.iterdir():
        assert path.read_bytes() == (tmp_path / "same" / path.name).read_bytes()
    assert (raw / "images.zip").read_bytes() != (tmp_path / "other" / "images.zip").read_bytes()


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("/data", {}, "'silhouettes' is drawn, download.source '/data' cannot be used"),
        ("official", {"train_images": 4}, "train_images 4 and test_images 5 must be 5 or more"),
        ("official", {"image_size": 24}, "image_size 24 32 or more"),
        ("official", {"seed": -1}, "seed -1 0 or more"),
    ],
)
def test_bad_options(tmp_path: Path, source: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        silhouettes.fetch(source, tmp_path, **(SIZES | changes))
    assert list(tmp_path.iterdir()) == []
