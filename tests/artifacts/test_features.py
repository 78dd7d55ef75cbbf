"""Folders of features: what is read is what was written, row by row; killed and cut short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weakseg.artifacts.features import FeatureFolder, count_bytes

IDS = ["a", "x/b", "c"]
SHAPES = {"pooled": (2,), "level3": (2, 1, 4)}


def values(first: int, count: int) -> dict[str, np.ndarray]:
    """Rows of images number `first` and on: every number tells image, view and place."""
    found = {}
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        table = 1000 * np.arange(first, first + count)[:, None, None] + 100 * np.arange(2)[None, :, None]
        found[name] = (table + np.arange(size)).reshape(count, 2, *shape).astype(np.float32)
    return found


def create(folder: Path, ids: list[str] = IDS, shapes: dict = SHAPES) -> FeatureFolder:
    """A folder for images whose content is their name."""
    return FeatureFolder.create(folder, {image_id: image_id for image_id in ids}, shapes, "a network")


def test_rows_are_read_by_image_and_view(tmp_path: Path) -> None:
    found = create(tmp_path)
    found.write(0, values(0, 2))
    assert not found.whole() and found.done == 2
    found.write(2, values(2, 1))
    again = FeatureFolder(tmp_path)
    assert again.whole() and again.shapes == SHAPES and list(again.places) == IDS
    assert again.read("pooled", ["c", "a"], mirrored=True).tolist() == [[2100, 2101], [100, 101]]
    np.testing.assert_array_equal(again.read("level3", ["x/b"], mirrored=False)[0], values(1, 1)["level3"][0, 0])
    assert sum(file.stat().st_size for file in tmp_path.glob("*.f32")) == 3 * count_bytes(SHAPES) == 3 * 2 * 4 * 10


def test_a_killed_run_goes_on_after_the_last_whole_batch(tmp_path: Path) -> None:
    first = create(tmp_path)
    first.write(0, values(0, 2))
    with (tmp_path / "pooled.f32").open("ab") as file:
        file.write(b"half a row of the batch that was killed")
    second = create(tmp_path)
    assert second.done == 2
    second.write(2, values(2, 1))
    assert second.read("pooled", ["c"], mirrored=False).tolist() == [[2000, 2001]]


def test_two_that_fill_one_folder_write_the_same(tmp_path: Path) -> None:
    """Each counts for itself: one that is behind repeats what the other wrote, to the same places."""
    first, second = (create(tmp_path) for _ in range(2))
    first.write(0, values(0, 1))
    first.write(1, values(1, 1))
    second.write(0, values(0, 1))
    first.write(2, values(2, 1))
    second.write(1, values(1, 1))
    second.write(2, values(2, 1))
    assert first.whole()
    for name in SHAPES:
        for view in (0, 1):
            np.testing.assert_array_equal(first.read(name, IDS, mirrored=bool(view)), values(0, 3)[name][:, view])


@pytest.mark.parametrize("ids, shapes", [(["a", "c"], SHAPES), (IDS, {"pooled": (2,)})])
def test_features_of_other_images_or_shapes_are_begun_anew(tmp_path: Path, ids: list[str], shapes: dict) -> None:
    create(tmp_path).write(0, values(0, 3))
    assert create(tmp_path).whole()
    assert create(tmp_path, ids, shapes).done == 0


def test_a_file_cut_short_or_gone_is_not_whole(tmp_path: Path) -> None:
    found = create(tmp_path)
    found.write(0, values(0, 3))
    content = (tmp_path / "level3.f32").read_bytes()
    (tmp_path / "level3.f32").write_bytes(content[:-1])
    assert not found.whole()
    (tmp_path / "level3.f32").unlink()
    assert not found.whole() and not FeatureFolder(tmp_path / "nowhere").whole()
