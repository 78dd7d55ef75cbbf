"""PASCAL VOC 2012 from a small archive in the official layout."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.raw_archives import boxes, link, mask, picture, prepare, sums, tar_gz
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.data.datasets import voc2012
from weakseg.errors import UserError

ROOT, LISTS = voc2012.ROOT, voc2012.LISTS
SEGMENTED = np.zeros((8, 12), int)
SEGMENTED[1:5, 2:8], SEGMENTED[2:4, 3:7], SEGMENTED[6, 1:4] = 255, 15, 2  # a person, and a bicycle
MAIN = "2008_000001  1\n2008_000002 -1\n2008_000003  0\n2008_000004 -1\n"


def thing(name: str, box: tuple, extra: str = "") -> str:
    """An object of an annotation."""
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in zip(voc2012.SIDES, box, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox>{extra}</object>"


HEAD = "<part><name>head</name><bndbox><xmin>4</xmin><ymin>2</ymin><xmax>5.4</xmax><ymax>3</ymax></bndbox></part>"
FOOT = HEAD.replace("head", "foot")
XML = f"<annotation>{thing('person', (3, 2, 8, 90), HEAD + FOOT)}{thing('bicycle', (1, 7, 4, 7.6))}</annotation>"


def entries(**changes: bytes) -> dict[str, bytes]:
    """Entries of the archive; `changes` replaces some, by the end of their name."""
    texts = {
        f"{LISTS}/Main/train.txt": "2008_000001\n2008_000002\n",
        f"{LISTS}/Main/val.txt": "2008_000003\n2008_000004\n",
        f"{LISTS}/Main/person_train.txt": MAIN,
        f"{LISTS}/Main/dog_val.txt": "2008_000002 1\n2008_000003 1\n2008_000004 1\n",
        f"{LISTS}/Segmentation/train.txt": "2007_000001\n2008_000001\n",
        f"{LISTS}/Segmentation/val.txt": "2008_000004\n2008_000003\n",
        f"{LISTS}/Strata/core_val.txt": "2008_000004\n",
        f"{ROOT}/Annotations/2007_000001.xml": XML,
        f"{ROOT}/Annotations/2008_000002.xml": "<annotation/>",
    }
    names = ["2007_000001", *(f"2008_00000{number}" for number in range(1, 6))]
    found = {name: text.encode() for name, text in texts.items()}
    found |= {f"{ROOT}/JPEGImages/{name}.jpg": picture() for name in names}
    found[f"{ROOT}/SegmentationClass/2007_000001.png"] = mask(SEGMENTED)
    found[f"{ROOT}/SegmentationClass/2008_000004.png"] = mask(np.full((8, 12), 12))
    found[f"{ROOT}/SegmentationClassAug/2008_000001.png"] = mask(np.full((8, 12), 15))
    for key, content in changes.items():
        (name,) = [name for name in found if key in name.replace("/", "_").replace(".", "_")]
        found[name] = content
    return found


def write(folder: Path, test_list: str = "Segmentation/val", **changes: bytes) -> Path:
    """The archive as `fetch` leaves it."""
    tar_gz(folder / voc2012.ARCHIVE.name, entries(**changes))
    (folder / voc2012.CHOSEN).write_text(f"{test_list}\n")
    return folder


def test_prepared(tmp_path: Path) -> None:
    source, raw = tmp_path / "source", tmp_path / "raw"
    tar_gz(source / voc2012.ARCHIVE.name, entries())
    sums(source)
    voc2012.fetch(str(source), raw, test_list="Segmentation/val", extra_masks="none")
    paths = prepare(voc2012, raw, tmp_path)
    frame = labels.load_labels(paths["labels"])
    assert dict(zip(frame.index, zip(frame["split"], frame["labels"], strict=True), strict=True)) == {
        "2007_000001": ("train", ("bicycle", "person")),  # from its annotation: no list of a class has it
        "2008_000001": ("train", ("person",)),
        "2008_000002": ("train", ("dog",)),
        "2008_000003": ("test", ("dog", "person")),  # a difficult person counts
        "2008_000004": ("test", ("dog",)),
    }
    assert zips.Images(paths["images"]).names() == list(frame.index)
    masks = Masks(paths["masks"])
    assert masks.names() == ["2007_000001", "2008_000004"]
    expected = np.select([SEGMENTED == 15, SEGMENTED == 2, SEGMENTED == 255], [3, 1, 255])  # bicycle, dog, person
    np.testing.assert_array_equal(masks.mask("2007_000001"), expected)
    np.testing.assert_array_equal(masks.mask("2008_000004"), np.full((8, 12), 2))
    assert boxes(paths["boxes"]) == {"2007_000001": [(0, 6, 4, 7.6), (2, 1, 8, 8)]}
    assert boxes(paths["parts"]) == {"2007_000001": [(3, 1, 5.4, 3)]}


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    """A zip of masks."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_extra_masks_are_truth_of_training_images_that_have_none(tmp_path: Path) -> None:
    source, raw = tmp_path / "source", tmp_path / "raw"
    tar_gz(source / voc2012.ARCHIVE.name, entries())
    sums(source)
    names = ("2007_000001", "2008_000001", "2008_000003", "2008_000004", "2008_000009")
    extra = {f"SegmentationClassAug/{name}.png": mask(np.full((8, 12), 12)) for name in names}
    path = zipped(tmp_path / "aug.zip", {**extra, "SegmentationClassAug/readme.txt": b"?"})
    voc2012.fetch(str(source), raw, test_list="Segmentation/val", extra_masks=str(path))
    masks = Masks(prepare(voc2012, raw, tmp_path)["masks"])
    assert masks.names() == ["2007_000001", "2008_000001", "2008_000004"], "no image that tests gets one"
    assert (masks.mask("2008_000001") == 2).all() and set(np.unique(masks.mask("2007_000001"))) == {0, 1, 3, 255}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mask(np.full((8, 12), 77)), "mask of image '2008_000001' holds 77, not 0 to 20 or 255"),
        (mask(np.full((12, 8), 1)), "mask of image '2008_000001' is 8x12, its image 12x8"),
        (b"no mask", "mask of image '2008_000001' cannot be read"),
    ],
)
def test_bad_extra_masks(tmp_path: Path, content: bytes, message: str) -> None:
    raw = write(tmp_path / "raw")
    zipped(raw / voc2012.EXTRA, {"2008_000001.png": content})
    with pytest.raises(UserError, match=message):
        prepare(voc2012, raw, tmp_path)


def test_another_list_tests_and_what_it_leaves_of_the_held_out_images_does_not_train(tmp_path: Path) -> None:
    paths = prepare(voc2012, write(tmp_path / "raw", "Strata/core_val"), tmp_path)
    frame = labels.load_labels(paths["labels"])
    assert list(frame.index[frame["split"] == "test"]) == ["2008_000004"] and "2008_000003" not in frame.index


def test_a_class_of_a_mask_that_no_label_names_is_ignored(tmp_path: Path) -> None:
    """Masks may show what the data's labels lack; nothing can be trained to find it."""
    paths = prepare(voc2012, write(tmp_path / "raw", SegmentationClass_2008=mask(np.full((8, 12), 20))), tmp_path)
    assert (Masks(paths["masks"]).mask("2008_000004") == 255).all()


def test_labels_alone_never_open_a_mask(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mask of image '2007_000001' cannot be read"):
        prepare(voc2012, write(tmp_path / "raw", SegmentationClass_2007=b"no mask"), tmp_path)
    assert len(labels.load_labels(tmp_path / "labels.csv")) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"2007_000001_xml": b"<annotation>"}, "annotation of image '2007_000001' cannot be read"),
        ({"2007_000001_xml": XML.replace("<xmin>3", "<xmin>x").encode()}, "'2007_000001' cannot be read .*float"),
        ({"2007_000001_xml": XML.replace(">person<", "><").encode()}, "'2007_000001' has class ''"),
        ({"2007_000001_xml": XML.replace(">person<", ">unicorn<").encode()}, "has class 'unicorn', which VOC 2012"),
        ({"2007_000001_xml": XML.replace("<xmin>3", "<xmin>nan").encode()}, "box .nan.* of image '2007_000001' covers"),
        ({"2007_000001_xml": XML.replace("<xmin>3", "<xmin>40").encode()}, "of image '2007_000001' covers nothing"),
        ({"2007_000001_xml": b"<annotation/>"}, "no list and no annotation names a class of image '2007_000001'"),
        ({"person_train": b"2008_000001 2\n"}, "marks '2008_000001' with '2', not 1, 0 or -1"),
        ({"person_train": b"2008_000001\n"}, "marks '2008_000001' with '', not 1, 0 or -1"),
        ({"Main_train_txt": b"../etc/passwd\n"}, "lists '../etc/passwd', which is no image"),
        ({"Main_train_txt": b"2008_000009\n"}, "no list and no annotation names a class of image '2008_000009'"),
        ({"SegmentationClass_2007": mask(np.full((8, 12), 21))}, "mask of image '2007_000001' holds 21, not 0 to 20"),
        ({"SegmentationClass_2007": mask(SEGMENTED.T)}, "mask of image '2007_000001' is 8x12, its image 12x8"),
        ({"SegmentationClass_2007": picture()}, "mask of image '2007_000001' is a color image"),
        ({"JPEGImages_2008_000004": b"no image"}, "'2008_000004'"),
        ({"Segmentation_val": b""}, "the archive has no list Segmentation/val of test images"),
    ],
)
def test_bad_archives(tmp_path: Path, changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(voc2012, write(tmp_path / "raw", **changes), tmp_path)


def test_a_link_in_the_archive_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw")
    special: tuple[tarfile.TarInfo, ...] = (link(f"{ROOT}/Annotations/2008_000001.xml", "/etc/passwd"),)
    tar_gz(raw / voc2012.ARCHIVE.name, entries(), special)
    with pytest.raises(UserError, match="is a link or a device"):
        prepare(voc2012, raw, tmp_path)


def test_the_choice_of_the_list_belongs_to_the_archive(tmp_path: Path) -> None:
    (write(tmp_path / "raw") / voc2012.CHOSEN).unlink()
    with pytest.raises(UserError, match="run the download stage"):
        prepare(voc2012, tmp_path / "raw", tmp_path)


SNIPPETS = ("<object>", "</object>", "<name>dog</name>", "<bndbox>", "</bndbox>", "<xmin>1</xmin>", "&x;", "<")


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join).map(str.encode)))
def test_any_annotation_file_ends_in_objects_or_one_sentence(content: bytes) -> None:
    for wrapped in (content, b"<annotation>" + content + b"</annotation>"):
        try:
            assert all(one.name in voc2012.CLASSES for one in voc2012.read_objects(wrapped, "x"))
        except UserError as error:
            assert "of image 'x'" in str(error) and "\n" not in str(error)


def test_the_official_address_is_pinned() -> None:
    assert voc2012.ARCHIVE.checksum == "md5:6cd6e144f989b92b3379bac3b3de84fd"
