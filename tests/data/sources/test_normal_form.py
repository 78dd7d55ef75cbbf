"""Listing, limiting, splitting and writing images and labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.raw_archives import ALL, picture
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.image_files import DEPTH
from weakseg.artifacts.formats.labels import load_labels
from weakseg.data.sources import normal_form
from weakseg.data.sources.normal_form import Listed, Selection, select
from weakseg.errors import UserError
from weakseg.harness.files import together


def rows(train: int = 20, test: int = 6, labels: tuple[str, ...] = ("cat", "dog")) -> list[Listed]:
    """Images of each label, training and test."""
    numbers = [("train", n) for n in range(train)] + [("test", n) for n in range(test)]
    return [
        Listed(f"{label}_{split}_{n:02d}", split, (label,), f"{label}/{n}.jpg")
        for label in labels
        for split, n in numbers
    ]


def counted(chosen: list[Listed]) -> Counter:
    """Images of each split and label."""
    return Counter((row.split, *row.labels) for row in chosen)


def test_select_keeps_all_and_sorts() -> None:
    assert select(rows()[::-1], ALL) == sorted(rows(), key=lambda row: row.image_id)


def test_validation_share_of_each_label_and_at_least_one() -> None:
    chosen = select(rows(20) + rows(4, 0, ("fox",)), replace(ALL, val_share=0.1))
    assert counted(chosen) == {
        **{(split, label): n for label in ("cat", "dog") for split, n in (("train", 18), ("val", 2), ("test", 6))},
        ("train", "fox"): 3,
        ("val", "fox"): 1,
    }


def test_a_single_image_of_a_label_stays_in_training() -> None:
    assert counted(select(rows(1, 0), replace(ALL, val_share=0.5))) == {("train", "cat"): 1, ("train", "dog"): 1}


def test_splits_a_dataset_names_are_kept() -> None:
    own = [*rows(8), Listed("own", "val", ("cat",), "own.jpg")]
    assert counted(select(own, Selection(0, 0.5, 0.5))) == counted(own)


def test_test_share_where_the_dataset_has_no_test_images() -> None:
    assert counted(select(rows(10, 0, ("cat",)), Selection(0, 0.2, 0.25))) == {
        ("train", "cat"): 6,
        ("val", "cat"): 2,
        ("test", "cat"): 2,
    }


def test_a_random_split_forgets_the_official_one_and_is_the_same_share_of_each_class() -> None:
    own = [*rows(20, 10), Listed("own", "val", ("cat",), "own.jpg")]
    random = Selection(0, 0.3, 0.1, split="random", split_seed=3)
    chosen = select(own, random)
    assert [row.image_id for row in chosen] == sorted(row.image_id for row in own), "all, once, sorted"
    assert counted(chosen) == {
        **{("test", "cat"): 9, ("val", "cat"): 2, ("train", "cat"): 20},
        **{("test", "dog"): 9, ("val", "dog"): 2, ("train", "dog"): 19},
    }
    tested = {row.image_id for row in chosen if row.split == "test"}
    assert {name.split("_")[1] for name in tested} >= {"train", "test"}, "images of both official splits"
    assert select(own[::-1], random) == chosen
    other = select(own, replace(random, split_seed=4))
    assert counted(other) == counted(chosen)
    assert {row.image_id for row in other if row.split == "test"} != tested


def test_a_limit_of_a_random_split_is_of_the_class() -> None:
    chosen = select(rows(20, 20), Selection(10, 0.3, 0.0, split="random"))
    assert counted(chosen) == {(split, name): n for name in ("cat", "dog") for split, n in (("train", 7), ("test", 3))}


def test_choice_does_not_depend_on_order_or_on_other_images() -> None:
    selection = Selection(images_per_class=5, test_share=0.0, val_share=0.2)
    chosen = select(rows(labels=("cat",)), selection)
    assert counted(chosen) == {("train", "cat"): 4, ("val", "cat"): 1, ("test", "cat"): 5}
    both = select(rows(labels=("dog", "cat"))[::-1], selection)
    assert [row for row in both if row.labels == ("cat",)] == chosen


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            Listed("cat_test_01", "test", ("cat",), "again.jpg"),
            r"'cat_test_01' is listed twice \('cat/1.jpg', 'again.jpg'\)",
        ),
        (Listed("blank", "train", ("cat", " "), "x.jpg"), "image 'blank' has an empty label"),
        (Listed("bar", "train", ("a|b",), "x.jpg"), r"a label holds '\|'"),
        (Listed("lone", "test", ("lynx",), "x.jpg"), "label 'lynx' has no training image"),
    ],
)
def test_bad_rows(extra: Listed, message: str) -> None:
    with pytest.raises(UserError, match=message):
        select([*rows(), extra], ALL)


def test_no_rows_or_no_labels() -> None:
    with pytest.raises(UserError, match="lists no images"):
        select([], ALL)
    with pytest.raises(UserError, match="no image has a label: give the training images theirs"):
        select([Listed("a", "train", (), "a.jpg"), Listed("b", "unlabeled", (), "b.jpg")], ALL)


def test_images_without_a_label_are_listed_and_unlabeled_ones_stay_so() -> None:
    bare = [Listed("nothing", "train", (), "n.jpg"), Listed("guess", "test", (), "g.jpg")]
    unlabeled = [Listed(f"u{n}", "unlabeled", (), f"{n}.jpg") for n in range(9)]
    assert counted(select([*rows(), *bare, *unlabeled], ALL))["unlabeled",] == 9
    chosen = select([*rows(), *bare, *unlabeled], Selection(0, 0.3, 0.2, split="random", split_seed=1))
    assert {row.image_id for row in chosen if row.split == "unlabeled"} == {row.image_id for row in unlabeled}
    assert len(chosen) == len(rows()) + 11


def test_images_keep_their_bytes_and_labels_their_sizes(tmp_path: Path) -> None:
    files = {"a.JPG": picture(12, 8), "b.jpeg": picture(5, 9, "L")}
    listed = [Listed("a", "train", ("cat", "dog"), "a.JPG"), Listed("b.c", "train", ("cat",), "b.jpeg")]
    normal_form.write_images(listed, files.__getitem__, tmp_path / "images", tmp_path / "labels.csv")
    images, frame = zips.Images(tmp_path / "images"), load_labels(tmp_path / "labels.csv")
    assert [images.read(name) for name in ("a", "b.c")] == list(files.values())
    assert images.image("b.c").shape == (9, 5, 3)
    assert frame.to_dict("index") == {
        "a": {"split": "train", "labels": ("cat", "dog"), "width": 12, "height": 8},
        "b.c": {"split": "train", "labels": ("cat",), "width": 5, "height": 9},
    }


def test_what_is_done_to_uncommon_images_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = zips.png_bytes(np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000)
    files = {"a.png": deep, "b.png": deep, "c.jpg": picture()}
    listed = [Listed(name[0], "train", ("cat",), name) for name in files]
    normal_form.write_images(listed, files.__getitem__, tmp_path / "images", tmp_path / "labels.csv")
    told = [line for line in capsys.readouterr().err.splitlines() if "bits" in line]
    assert len(told) == 1 and told[0].startswith(DEPTH) and told[0].endswith(": 2 images, such as 'a'")


@pytest.mark.parametrize("content", [b"", b"no image", picture()[:200]])
def test_unreadable_image(tmp_path: Path, content: bytes) -> None:
    listed = [Listed("bad", "train", ("cat",), "bad.jpg")]
    with pytest.raises(UserError, match="image 'bad' cannot be read"):
        normal_form.write_images(listed, lambda entry: content, tmp_path / "images", tmp_path / "labels.csv")
    assert list(tmp_path.iterdir()) == []


def test_together_changes_all_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / "a.zip", tmp_path / "deep" / "b.csv"]
    with together(*paths) as staged:
        assert [path.suffix for path in staged] == [".zip", ".csv"]
        for path in staged:
            path.write_text("one")
    with pytest.raises(UserError), together(*paths) as staged:
        staged[0].write_text("two")
        raise UserError("stop")
    assert [path.read_text() for path in paths] == ["one", "one"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "b.csv", "deep"]
