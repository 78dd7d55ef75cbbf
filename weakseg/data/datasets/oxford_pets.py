"""Oxford-IIIT Pet: 37 breeds of cats and dogs, trimaps and head boxes.

O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and Dogs", CVPR 2012.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from weakseg.artifacts.formats.labels import class_names, load_labels
from weakseg.artifacts.truth import Annotation, Box, decode_mask, mask_box, write
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.downloads import Official
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError

ADDRESS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
ARCHIVES = (
    Official("images.tar.gz", f"{ADDRESS}/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    Official("annotations.tar.gz", f"{ADDRESS}/annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
)
LISTS = {"annotations/trainval.txt": "train", "annotations/test.txt": "test"}
FOREGROUND, BACKGROUND, BORDER = 1, 2, 3  # values of a trimap


def fetch(source: str, out: Path) -> None:
    """Bring the two archives into `out`; `source` is 'official', a folder or an address."""
    downloads.bring_all(ARCHIVES, source, out)


def breed(image_id: str) -> str:
    """Label of an image: 'american_bulldog_10' is an 'american bulldog'; cats begin with a capital."""
    return image_id.rpartition("_")[0].replace("_", " ")


def listed(annotations: Path, folder: Path) -> Iterator[Listed]:
    """The images of the official lists."""
    with Spool(annotations, folder, LISTS.__contains__) as files:
        for name, split in LISTS.items():
            for line in files.read(name).decode(errors="replace").splitlines():
                if line.strip() and not line.startswith("#"):
                    image_id = line.split()[0]
                    yield Listed(image_id, split, (breed(image_id),), f"images/{image_id}.jpg")


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and breeds of the official trainval and test lists."""
    rows = normal_form.select(list(listed(raw / "annotations.tar.gz", images.parent)), selection)
    with Spool(raw / "images.tar.gz", images.parent, {row.entry for row in rows}.__contains__) as files:
        normal_form.write_images(rows, files.read, images, labels)


def mask_of(trimap: np.ndarray, label: int, image_id: str) -> np.ndarray:
    """Class ids (H,W) from a trimap: foreground `label`, background 0, border 255 (ignore)."""
    if not np.isin(trimap, (FOREGROUND, BACKGROUND, BORDER)).all():
        raise UserError(f"trimap of image '{image_id}' holds other values than 1, 2, 3: bring the archive again")
    return np.array([0, label, 0, 255], np.uint8)[trimap]


def head_boxes(content: bytes, image_id: str) -> list[Box]:
    """Head boxes of an annotation in the VOC format, whose pixels are counted from 1 and inclusive."""
    try:
        found = ElementTree.fromstring(content).iter("bndbox")
        sides = [[float(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax")] for box in found]
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"head box of image '{image_id}' cannot be read ({error}): bring the archive again") from None
    return [(x0 - 1, y0 - 1, x1, y1) for x0, y0, x1, y1 in sides]


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks and object boxes from the trimaps, and head boxes; images without either are normal.

    The object box bounds foreground and border together: the outline runs inside the border, which swallows
    thin parts, and head boxes end a median 8 pixels outside the foreground but 4 inside this box.
    """
    frame = load_labels(labels)
    names = class_names(frame)
    with Spool(raw / "annotations.tar.gz", masks.parent, is_truth) as files:

        def truth(image_id: str) -> Annotation:
            trimap, head = f"annotations/trimaps/{image_id}.png", f"annotations/xmls/{image_id}.xml"
            heads = head_boxes(files.read(head), image_id) if head in files else []
            if trimap not in files:
                return Annotation(parts=heads)
            values = decode_mask(files.read(trimap), image_id)
            mask = mask_of(values, 1 + names.index(frame["labels"][image_id][0]), image_id)
            return Annotation(mask, mask_box(mask > 0), heads)

        write(labels, truth, masks, boxes, parts)


def is_truth(entry: str) -> bool:
    """Whether an entry is a trimap or a head box; the official archive also holds resource forks ('._')."""
    return (
        bool(re.fullmatch(r"annotations/(trimaps|xmls)/[^/]+\.(png|xml)", entry))
        and PurePosixPath(entry).name[0] != "."
    )
