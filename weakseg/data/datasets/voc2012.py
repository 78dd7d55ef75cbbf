"""PASCAL VOC 2012: 20 classes, several labels an image, masks of the segmentation task and boxes.

M. Everingham, S. M. A. Eslami, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, "The PASCAL Visual Object
Classes Challenge: A Retrospective", IJCV 2015.
Differs from the challenge: every image of the lists trains but those of Segmentation/val, which test. An object that
is marked difficult counts as any other: the masks show it, and it is in the labels that the field trains on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from weakseg.artifacts.formats.labels import class_names, load_labels
from weakseg.artifacts.truth import Annotation, Box, decode_mask, write
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.downloads import Official
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError

ARCHIVE = Official(
    "VOCtrainval_11-May-2012.tar",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    "md5:6cd6e144f989b92b3379bac3b3de84fd",
)
ROOT = "VOCdevkit/VOC2012"
LISTS = f"{ROOT}/ImageSets"
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
HELD_OUT = "Segmentation/val"
CHOSEN = "test_list.txt"  # beside the archive: the list that tests
EXTRA = "extra_masks.zip"  # beside the archive: masks of training images that are none of VOC's
IGNORE = 255
SIDES = ("xmin", "ymin", "xmax", "ymax")
AGAIN = "bring the archive again"


def fetch(
    source: str, out: Path, *, test_list: Literal["Segmentation/val", "Strata/core_val"], extra_masks: str
) -> None:
    """Bring the archive into `out`, and note the list of test images; `source` 'official', a folder or an address.

    `extra_masks`: 'none', or path or address of a zip of masks as PNG files named by image, such as the
    SegmentationClassAug of SBD: truth for training images that have no mask of VOC's, so for control and scores alone.
    """
    downloads.bring_all([ARCHIVE], source, out)
    (out / CHOSEN).write_text(f"{test_list}\n")
    if extra_masks != "none":
        downloads.bring(extra_masks, out / EXTRA, None)


@dataclass(frozen=True)
class Object:
    """One object of an annotation: its class, its box, and those of its heads, pixels counted from 0 and half-open."""

    name: str
    box: Box
    heads: list[Box]


def read_box(node: ElementTree.Element) -> Box:
    """The bndbox of an object or a part, whose pixels are counted from 1 and inclusive; ValueError: none, no number."""
    x0, y0, x1, y1 = (float(node.findtext(f"bndbox/{side}", "")) for side in SIDES)
    return x0 - 1, y0 - 1, x1, y1


def read_objects(content: bytes, image_id: str) -> list[Object]:
    """The objects of an annotation file; UserError where it is no XML, or an object has no known class or no box."""
    found = []
    try:
        for node in ElementTree.fromstring(content).findall("object"):
            heads = [read_box(part) for part in node.findall("part") if part.findtext("name") == "head"]
            found.append(Object((node.findtext("name") or "").strip(), read_box(node), heads))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"annotation of image '{image_id}' cannot be read ({error}): {AGAIN}") from None
    unknown = [one.name for one in found if one.name not in CLASSES]
    if unknown:
        raise UserError(f"annotation of image '{image_id}' has class '{unknown[0]}', which VOC 2012 lacks: {AGAIN}")
    return found


def rows_of(files: Spool, entry: str) -> Iterator[list[str]]:
    """The fields of each line of a list, an image id first; UserError for an id that is no name of a file."""
    for line in files.read(entry).decode(errors="replace").splitlines():
        fields = line.split()
        if fields and not re.fullmatch(r"[A-Za-z0-9_]+", fields[0]):
            raise UserError(f"{entry} lists '{fields[0]}', which is no image of VOC 2012: {AGAIN}")
        if fields:
            yield fields


def listed_ids(files: Spool, name: str) -> list[str]:
    """Image ids of a list in its order; none where the archive has no such list."""
    entry = f"{LISTS}/{name}.txt"
    return [fields[0] for fields in rows_of(files, entry)] if entry in files else []


def listed_classes(files: Spool) -> dict[str, set[str]]:
    """Classes of each image in the lists of the classes: 1 and 0 (difficult objects alone) count, -1 does not."""
    found: dict[str, set[str]] = {}
    entries = [(name, f"{LISTS}/Main/{name}_{split}.txt") for name in CLASSES for split in ("train", "val")]
    for name, entry in entries:
        for image_id, *sign in rows_of(files, entry) if entry in files else ():
            if sign not in (["1"], ["0"], ["-1"]):
                raise UserError(f"{entry} marks '{image_id}' with '{' '.join(sign)}', not 1, 0 or -1: {AGAIN}")
            found.setdefault(image_id, set()).update([name] if sign != ["-1"] else [])
    return found


def annotation_of(image_id: str) -> str:
    """Entry of an image's annotation."""
    return f"{ROOT}/Annotations/{image_id}.xml"


def label(image_id: str, files: Spool, marked: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Classes of an image in order: those the lists mark, or where no list has it, those of its annotation.

    The segmentation lists hold images of 2007 that the lists of the classes lack. UserError where nothing names any.
    """
    names = marked.get(image_id) or set()
    if not names and annotation_of(image_id) in files:
        names = {one.name for one in read_objects(files.read(annotation_of(image_id)), image_id)}
    if not names:
        raise UserError(f"no list and no annotation names a class of image '{image_id}': {AGAIN}")
    return tuple(sorted(names))


def listed(files: Spool, test_list: str) -> list[Listed]:
    """The images of the lists, each once: `test_list` tests; what is in no held-out list trains."""
    tested, held_out = listed_ids(files, test_list), set(listed_ids(files, HELD_OUT))
    if not tested:
        raise UserError(f"the archive has no list {test_list} of test images: set test_list to {HELD_OUT}")
    names = ("Main/train", "Main/val", "Segmentation/train")
    trained = [image_id for name in names for image_id in listed_ids(files, name) if image_id not in held_out]
    splits = dict.fromkeys(trained, "train") | dict.fromkeys(tested, "test")
    marked = listed_classes(files)
    return [
        Listed(image_id, split, label(image_id, files, marked), f"{ROOT}/JPEGImages/{image_id}.jpg")
        for image_id, split in splits.items()
    ]


def read_choice(raw: Path) -> str:
    """The list of test images that `fetch` noted."""
    path = raw / CHOSEN
    if not path.is_file():
        raise UserError(f"{path} does not exist: run the download stage")
    return path.read_text().strip()


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and classes with the split of the lists."""
    archive, folders = raw / ARCHIVE.name, (f"{LISTS}/", f"{ROOT}/Annotations/")
    with Spool(archive, images.parent, lambda entry: entry.startswith(folders)) as files:
        rows = normal_form.select(listed(files, read_choice(raw)), selection)
    with Spool(archive, images.parent, {row.entry for row in rows}.__contains__) as files:
        normal_form.write_images(rows, files.read, images, labels)


def mask_of(values: np.ndarray, names: list[str], image_id: str) -> np.ndarray:
    """Class ids (H,W) of the data's classes from VOC's own; the border, and a class that the data lacks: 255."""
    table = np.full(256, IGNORE, np.uint8)
    table[0] = 0
    for number, name in enumerate(CLASSES, 1):
        table[number] = names.index(name) + 1 if name in names else IGNORE
    strange = values[(values > len(CLASSES)) & (values != IGNORE)]
    if strange.size:
        raise UserError(f"mask of image '{image_id}' holds {strange[0]}, not 0 to {len(CLASSES)} or 255: {AGAIN}")
    return table[values]


@contextmanager
def open_extra(path: Path, folder: Path, trained: Container[str]) -> Iterator[Callable[[str], bytes | None]]:
    """A reader of extra masks by image id: PNG bytes; None where there is none, or the image does not train."""
    if not path.exists():
        yield lambda image_id: None
        return
    with Spool(path, folder, lambda entry: entry.endswith(".png") and Path(entry).stem in trained) as files:
        places = {Path(entry).stem: entry for entry in files.names()}
        yield lambda image_id: files.read(places[image_id]) if image_id in places else None


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks, object boxes and boxes of heads; images without any are normal.

    A training image without a mask of VOC's has that of `extra_masks`, where there is one; a test image never.
    """
    frame = load_labels(labels)
    names, trained = class_names(frame), set(frame.index[frame["split"] == "train"])
    folders = (f"{ROOT}/SegmentationClass/", f"{ROOT}/Annotations/")
    with (
        Spool(raw / ARCHIVE.name, masks.parent, lambda entry: entry.startswith(folders)) as files,
        open_extra(raw / EXTRA, masks.parent, trained) as extra,
    ):

        def truth(image_id: str) -> Annotation:
            place, entry = f"{ROOT}/SegmentationClass/{image_id}.png", annotation_of(image_id)
            objects = read_objects(files.read(entry), image_id) if entry in files else []
            content = files.read(place) if place in files else extra(image_id)
            mask = mask_of(decode_mask(content, image_id), names, image_id) if content is not None else None
            heads = [head for one in objects for head in one.heads]
            return Annotation(mask, [one.box for one in objects], heads)

        write(labels, truth, masks, boxes, parts)
