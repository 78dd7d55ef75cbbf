"""Artifacts: what is saved is what is loaded, in the same bytes, and nothing half written is left."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.contents import content
from weakseg.artifacts import activations
from weakseg.artifacts.formats import image_files, labels, masks, zips
from weakseg.artifacts.formats.one_zip import Zip
from weakseg.errors import UserError
from weakseg.harness import files
from weakseg.networks.loading import saved


def entry(seed: int = 0) -> activations.CamEntry:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 4), (3, 4), (5, 6, 8))]
    return activations.CamEntry(arrays[0], np.array([1, 7]), arrays[1], arrays[2])


def write_all(folder: Path) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    with masks.MaskWriter(folder / "masks") as writer:
        writer.add("a/b", rng.integers(0, 255, (5, 7)))
    with zips.SegmentsWriter(folder / "segments") as writer:
        writer.add("a", rng.integers(0, 60_000, (5, 7)))
    with activations.CamsWriter(folder / "cams") as writer:
        writer.add("a", entry())
    saved.save_network(folder / "net.safetensors", torch.nn.Linear(2, 1), {"backbone": "x"})
    zips.save_png(folder / "x.png", rng.integers(0, 255, (5, 7, 3)).astype(np.uint8))
    files.save_json(folder / "x.json", {"b": 1, "a": 0.1})
    return content(folder)


def test_two_writes_give_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = write_all(tmp_path / "one")
    torch.manual_seed(0)
    assert first == write_all(tmp_path / "two") and len(first) == 9


def test_cams_come_back_as_float16_precision(tmp_path: Path) -> None:
    write_all(tmp_path)
    loaded = activations.Cams(tmp_path / "cams").cams("a")
    assert loaded.scores.dtype == np.float32 and loaded.classes.tolist() == [1, 7]
    np.testing.assert_allclose(loaded.scores, entry().scores, rtol=1e-3)


def test_not_finite_scores_are_refused_with_the_image(tmp_path: Path) -> None:
    bad = entry()
    bad.scores[0, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"image 'a'.*scores"), activations.CamsWriter(tmp_path / "cams") as writer:
        writer.add("a", bad)
    assert list(tmp_path.iterdir()) == []


def test_masks_and_segments_round_trip_at_full_range(tmp_path: Path) -> None:
    mask, segments = np.array([[0, 255]]), np.array([[0, 65_535]])
    with masks.MaskWriter(tmp_path / "m") as writer:
        writer.add("x", mask)
    with zips.SegmentsWriter(tmp_path / "s") as writer:
        writer.add("x", segments)
    assert masks.Masks(tmp_path / "m").mask("x").tolist() == mask.tolist()
    assert zips.Segments(tmp_path / "s").segments("x").tolist() == segments.tolist()


def test_classes_merge_into_one_foreground_and_ignored_pixels_stay() -> None:
    assert masks.merge_classes(np.array([[0, 1, 7, 255]], np.uint8)).tolist() == [[0, 1, 1, 255]]


def test_an_error_while_writing_keeps_the_previous_folder(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with masks.MaskWriter(path) as writer:
        writer.add("x", np.zeros((2, 2)))
    before = content(path)
    with pytest.raises(RuntimeError), masks.MaskWriter(path) as writer:
        writer.add("y", np.zeros((2, 2)))
        raise RuntimeError
    assert content(path) == before and list(tmp_path.iterdir()) == [path]


def test_entries_must_ascend(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ascend"), masks.MaskWriter(tmp_path / "m") as writer:
        writer.add("b", np.zeros((1, 1)))
        writer.add("a", np.zeros((1, 1)))


def test_bad_archives_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        zips.Images(tmp_path / "none")
    (tmp_path / "broken.zip").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match=r"broken\.zip has no index"):
        zips.Images(tmp_path / "broken.zip")
    with pytest.raises(UserError, match="not a whole zip"):
        Zip(tmp_path / "broken.zip")
    with zips.ArchiveWriter(tmp_path / "images") as writer:
        writer.add_bytes("cat.jpg", b"no image")
    images = zips.Images(tmp_path / "images")
    with pytest.raises(UserError, match="image 'cat' cannot be read"):
        images.image("cat")
    with pytest.raises(UserError, match="no entry 'dog'"):
        images.image("dog")


def test_image_bombs_are_named(tmp_path: Path) -> None:
    """A header that promises ten thousand million pixels, and one text of a hundred megabytes, in a kilobyte."""
    whole = zips.png_bytes(np.zeros((1, 1), np.uint8))
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)),
        (b"zTXt", b"k\0\0" + zlib.compress(bytes(100 << 20))),
    ):
        chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        start = 8 if kind == b"IHDR" else 33
        bomb = whole[:start] + chunk + whole[33:]
        with pytest.raises(UserError, match=r"image 'cat' (cannot be read|has more than)"):
            image_files.decode(bomb, "cat")


def test_labels_round_trip_and_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    frame = pd.DataFrame(
        {"split": ["train", "test"], "labels": [("cat", "dog"), ()], "width": [3, 4], "height": [5, 6]},
        index=["b", "a"],
    )
    labels.save_labels(path, frame)
    loaded = labels.load_labels(path)
    assert (
        loaded.index.tolist() == ["a", "b"]
        and loaded.at["b", "labels"] == ("cat", "dog")
        and loaded.at["a", "labels"] == ()
    )
    assert labels.class_names(loaded) == ["cat", "dog"]
    path.write_text(path.read_text().replace("train", "dev"))
    with pytest.raises(UserError, match="split 'dev' is unknown"):
        labels.load_labels(path)
    path.write_text("image_id,split\n")
    with pytest.raises(UserError, match="lacks the columns labels, width, height"):
        labels.load_labels(path)


def test_a_foreign_weight_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0 not a header ")
    with pytest.raises(UserError, match="no network that weakseg saved"):
        saved.load_network(path)
