"""A user's own images: class folders and tables, with and without ground truth."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.raw_archives import ALL, boxes, mask, picture, prepare, served, tar_gz, zipped
from weakseg.artifacts import truth
from weakseg.artifacts.formats import image_files, masks, zips
from weakseg.artifacts.formats.labels import SPLITS, load_labels
from weakseg.data.datasets import folder
from weakseg.data.sources.normal_form import Selection
from weakseg.errors import UserError

CLASS_FOLDERS = {
    "cat/a.jpg": picture(),
    "cat/b.PNG": mask(np.zeros((5, 6))),
    "dog/deep/a.jpg": picture(mode="L"),
    "Thumbs.db": b"x",
}
MASK = np.zeros((8, 12))
MASK[2:4, 3:7], MASK[5:7, 3:5] = 1, 255
TABLE = {
    "images/a.jpg": picture(),
    "images/sub/b.jpg": picture(),
    "images/unlisted.jpg": picture(),
    "labels.csv": b"image,label,split\na.jpg,dog|cat,train\nsub/b.jpg,dog,test\n",
    "masks/a.png": mask(MASK),
    "boxes.csv": b"image,x0,y0,x1,y1\nsub/b.jpg,1,2,99,4.5\nsub/b.jpg,0,0,2,2\n",
}


BARE = {"images/a.jpg": picture(), "images/sub/b.jpg": picture()}
HEADERS = ["image,label,split\n", "image,label\n", "\ufeffimage,label\n", "", "label,image\r\n", "image;label\n"]
CELLS = [
    "a.jpg",
    "sub/b.jpg",
    "./a.jpg",
    "c.jpg",
    "cat",
    "dog|cat",
    "|",
    "",
    " ",
    "train",
    "test",
    "unlabeled",
    '"',
    "\u00e9",
]


def spread(root: Path, files: dict[str, bytes]) -> Path:
    """Write the files below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def prepared(tmp_path: Path, files: dict[str, bytes], selection: Selection = ALL) -> dict[str, Path]:
    """Pack a folder of the files and prepare it."""
    folder.fetch(str(spread(tmp_path / "source", files)), tmp_path / "raw")
    return prepare(folder, tmp_path / "raw", tmp_path / "out", selection)


def labels(paths: dict[str, Path]) -> dict[str, tuple]:
    """Split and labels by image."""
    return {row.Index: (row.split, *row.labels) for row in load_labels(paths["labels"]).itertuples()}


def test_class_folders(tmp_path: Path) -> None:
    paths = prepared(tmp_path, CLASS_FOLDERS)
    assert labels(paths) == {"cat_a": ("train", "cat"), "cat_b": ("train", "cat"), "dog_deep_a": ("train", "dog")}
    assert len(masks.Masks(paths["masks"])) == len(boxes(paths["boxes"])) == 0


def test_class_folders_with_splits_and_masks(tmp_path: Path) -> None:
    files = {f"images/{split}/{label}/a.jpg": picture() for split in ("train", "test") for label in ("cat", "dog")}
    paths = prepared(tmp_path, files | {"masks/test/cat/a.png": mask(MASK)})
    assert labels(paths)["test_dog_a"] == ("test", "dog") and len(labels(paths)) == 4
    assert boxes(paths["boxes"]) == {"test_cat_a": [(3, 2, 7, 4)]}


def test_test_share(tmp_path: Path) -> None:
    files = {f"{label}/{n}.jpg": picture() for label in ("cat", "dog") for n in range(5)}
    splits = [split for split, _ in labels(prepared(tmp_path, files, Selection(0, 0.2, 0.25))).values()]
    assert {split: splits.count(split) for split in SPLITS} == {"train": 6, "val": 2, "test": 2, "unlabeled": 0}


def test_table_with_several_labels_masks_and_boxes(tmp_path: Path) -> None:
    paths = prepared(tmp_path, TABLE)
    assert labels(paths) == {"a": ("train", "cat", "dog"), "sub_b": ("test", "dog")}
    np.testing.assert_array_equal(masks.Masks(paths["masks"]).mask("a"), MASK)
    assert boxes(paths["boxes"]) == {"a": [(3, 2, 7, 4)], "sub_b": [(0, 0, 2, 2), (1, 2, 12, 4.5)]}


@pytest.mark.parametrize("build", [tar_gz, zipped])
def test_ready_archive_from_a_path_or_an_address(tmp_path: Path, build) -> None:
    archive = build(tmp_path / "mine.archive", TABLE)
    folder.fetch(str(archive), tmp_path / "raw")
    with served({"/x/mine.archive": archive.read_bytes()}) as server:
        folder.fetch(f"{server.address}/x/mine.archive", tmp_path / "web")
    assert (tmp_path / "raw" / "mine.archive").read_bytes() == (tmp_path / "web" / "mine.archive").read_bytes()
    assert set(labels(prepare(folder, tmp_path / "raw", tmp_path / "out"))) == {"a", "sub_b"}


def test_images_without_a_label(tmp_path: Path) -> None:
    names = {"train/cat/a.jpg", "train/dog/a.jpg", "test/b.jpg", "unlabeled/c.jpg", "unlabeled/deep/c.jpg"}
    assert labels(prepared(tmp_path / "folders", dict.fromkeys(names, picture()))) == {
        "train_cat_a": ("train", "cat"), "train_dog_a": ("train", "dog"), "test_b": ("test",),
        "unlabeled_c": ("unlabeled",), "unlabeled_deep_c": ("unlabeled",),
    }  # fmt: skip
    table = b"image,label,split\na.jpg,cat,\nsub/b.jpg,,unlabeled\nunlisted.jpg,,train\n"
    paths = prepared(tmp_path / "table", {**TABLE, "labels.csv": table, "masks/a.png": mask(MASK)})
    assert labels(paths) == {"a": ("train", "cat"), "sub_b": ("unlabeled",), "unlisted": ("train",)}
    assert truth.counts(paths["labels"], paths["masks"], paths["boxes"])["images_unlabeled"] == 1


NAMES = [
    "a b", " lead", "trail ", "Zürich", "猫 1", "🐈\u200d⬛", "NA", "007", "1e5", "null", "it's", 'say "hi"', "a,b",
    "x.y", "-", "Bildschirmfoto um 5.00\u202fPM", "e\u0301t\u00e9",
]  # fmt: skip


def test_names_with_spaces_and_of_any_script(tmp_path: Path) -> None:
    files = {f"images/of one/{name}.png": mask([[1, 2]]) for name in NAMES}
    table = "".join('"of one/{}.png",{}\n'.format(name.replace('"', '""'), "cat|dog dog") for name in NAMES)
    paths = prepared(tmp_path, {**files, "labels.csv": ("image,label\n" + table).encode()})
    wanted = {f"of one_{unicodedata.normalize('NFC', name)}" for name in NAMES}
    assert labels(paths) == dict.fromkeys(wanted, ("train", "cat", "dog dog"))
    assert set(zips.Images(paths["images"]).names()) == wanted


def test_a_table_and_files_may_spell_a_letter_in_two_ways(tmp_path: Path) -> None:
    files = {"images/e\u0301.jpg": picture(), "labels.csv": "image,label\n\u00e9.jpg,cat\n".encode()}
    assert labels(prepared(tmp_path, files)) == {"\u00e9": ("train", "cat")}
    dos = {"images/sub/a.jpg": picture(), "labels.csv": b"image,label\r\nsub\\a.jpg,cat\r\n"}
    assert labels(prepared(tmp_path / "dos", dos)) == {"sub_a": ("train", "cat")}


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    junk = {"cat/._a.jpg": b"x", "__MACOSX/cat/a.jpg": b"x", ".cache/b.png": b"x"}
    assert len(labels(prepared(tmp_path, CLASS_FOLDERS | junk))) == 3


def test_masks_and_boxes_follow_a_reduced_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MOST_PIXELS", 50)
    paths = prepared(tmp_path, TABLE)
    assert load_labels(paths["labels"]).loc["a", ["width", "height"]].tolist() == [6, 4]
    assert masks.Masks(paths["masks"]).mask("a").shape == (4, 6)
    assert boxes(paths["boxes"])["sub_b"] == [(0, 0, 1, 1), (0.5, 1, 6, 2.25)]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.lists(st.sampled_from(CELLS), max_size=4), max_size=5),
    st.sampled_from(HEADERS),
    st.binary(max_size=8),
)
def test_any_table_gives_a_data_set_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], header: str, tail: bytes
) -> None:
    content = (header + "".join(",".join(row) + "\n" for row in rows)).encode() + tail
    try:
        found = labels(prepared(tmp_path_factory.mktemp("any"), {**BARE, "labels.csv": content}))
    except UserError:
        return
    assert found


def test_packing_is_deterministic(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder.fetch(str(spread(tmp_path / f"source {name}", dict(reversed(TABLE.items())))), tmp_path / name)
    assert (tmp_path / "one" / "folder.zip").read_bytes() == (tmp_path / "two" / "folder.zip").read_bytes()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labels.csv": b"image,label\na.jpg,\n"}, "no image has a label"),
        ({"labels.csv": b"image,label\na.jpg\n"}, "no image has a label"),
        ({"labels.csv": b"image,label,split\na.jpg,cat,unlabeled\n"}, "'a.jpg' has a label and split unlabeled"),
        ({"labels.csv": b"label,image\ncat\n"}, "lists '', which is not there"),
        ({"images/a\n.jpg": picture()}, r"the name 'images/a\\n.jpg' holds characters that no table can"),
        ({"labels.csv": b"image,label\na.jpg,cat\nc.jpg,cat\n"}, "lists 'c.jpg', which is not there"),
        ({"labels.csv": b"image,label\na.jpg,cat\na.jpg,dog\n"}, "image 'a' is listed twice"),
        ({"labels.csv": b"image,label,split\na.jpg,cat,dev\n"}, "split 'dev' of 'a.jpg' is unknown"),
        ({"labels.csv": b"name,label\na.jpg,cat\n"}, "labels.csv lacks the column 'image'"),
        ({"labels.csv": b"\xff\xfe\x00"}, "labels.csv cannot be read"),
        ({"labels.csv": b"image,label\n"}, "lists no images"),
        ({"images/a.jpg": picture()[:150]}, "image 'a' cannot be read"),
        ({"images/a.png": picture()}, "'images/a.jpg' and 'images/a.png' would be the same image"),
        ({"masks/a.png": mask(MASK[:6])}, "mask of image 'a' is 12x6, its image 12x8"),
        ({"masks/a.png": mask(MASK * 3)}, r"mask of image 'a' holds \[0, 3, 253\]"),
        ({"masks/sub/b.png": mask(MASK)}, r"mask of image 'sub_b' holds \[0, 1, 255\]: use 0, .* its labels, 2"),
        ({"masks/a.png": mask((MASK > 0) * 255)}, r"mask of image 'a' holds \[0, 255\]"),
        ({"masks/c.png": mask(MASK)}, "mask 'masks/c.png' belongs to no image"),
        ({"boxes.csv": b"image,x0,y0,x1,y1\nc.jpg,1,2,3,4\n"}, "boxes.csv lists 'c.jpg', which is not there"),
        ({"boxes.csv": b"image,x0,y0,x1,y1\na.jpg,1,2,three,4\n"}, "side of the box of 'a.jpg' is no number"),
        ({"boxes.csv": b"image,x0,y0,x1,y1\na.jpg,1,2\n"}, "side of the box of 'a.jpg' is no number"),
    ],
)
def test_bad_tables(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(tmp_path, TABLE | files)


def test_bad_class_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image 'lone.jpg' lies in no class folder"):
        prepared(tmp_path / "lone", CLASS_FOLDERS | {"lone.jpg": picture()})
    (tmp_path / "empty" / "source" / "fox").mkdir(parents=True)
    with pytest.raises(UserError, match=r"folder 'fox' of .* holds no images"):
        prepared(tmp_path / "empty", CLASS_FOLDERS)


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no official source"):
        folder.fetch("official", tmp_path)
    with pytest.raises(UserError, match="is neither a folder nor an archive nor an address"):
        folder.fetch(str(tmp_path / "absent"), tmp_path)
    with pytest.raises(UserError, match="holds 0 archives"):
        folder.prepare(tmp_path, tmp_path / "images", tmp_path / "labels.csv", ALL)
