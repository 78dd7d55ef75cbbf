"""Caltech-UCSD Birds-200-2011: 200 species and object boxes.

C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie, "The Caltech-UCSD Birds-200-2011 Dataset", CNS-TR-2011-001.
"""

from __future__ import annotations

from pathlib import Path

from weakseg.artifacts.truth import Annotation, Box, write
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.downloads import Official
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError

ARCHIVES = (
    Official(
        "CUB_200_2011.tgz",
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "md5:97eceeb196236b17998738112f37df78",
    ),
)
ROOT = "CUB_200_2011"
TABLES = ("images", "classes", "image_class_labels", "train_test_split", "bounding_boxes")


def fetch(source: str, out: Path) -> None:
    """Bring the archive into `out`; `source` is 'official', a folder or an address."""
    downloads.bring_all(ARCHIVES, source, out)


def table(files: Spool, name: str) -> dict[str, list[str]]:
    """Fields of each line of one of the archive's tables, by the line's first field, an id."""
    lines = files.read(f"{ROOT}/{name}.txt").decode(errors="replace").splitlines()
    return {fields[0]: fields[1:] for fields in map(str.split, lines) if fields}


def field(lines: dict[str, list[str]], name: str, number: str) -> str:
    """First field of line `number`; UserError when the table lacks it."""
    if not lines.get(number):
        raise UserError(f"{ROOT}/{name}.txt has no entry for id {number}: bring the archive again")
    return lines[number][0]


def species(folder: str) -> str:
    """Label of a class folder: '001.Black_footed_Albatross' is a 'Black footed Albatross'."""
    return folder.partition(".")[2].replace("_", " ")


def listed(files: Spool) -> list[Listed]:
    """The images of the official list with the official split."""
    tables = {name: table(files, name) for name in TABLES[:4]}
    rows = []
    for number in tables["images"]:
        path = field(tables["images"], "images", number)
        kind = field(tables["image_class_labels"], "image_class_labels", number)
        train = field(tables["train_test_split"], "train_test_split", number) == "1"
        label = species(field(tables["classes"], "classes", kind))
        rows.append(Listed(Path(path).stem, "train" if train else "test", (label,), f"{ROOT}/images/{path}"))
    return rows


def is_table(entry: str) -> bool:
    """Whether an entry is one of the tables."""
    return entry in {f"{ROOT}/{name}.txt" for name in TABLES}


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and species with the official split."""
    archive = raw / ARCHIVES[0].name
    with Spool(archive, images.parent, lambda entry: is_table(entry) or entry.startswith(f"{ROOT}/images/")) as files:
        rows = normal_form.select(listed(files), selection)
        normal_form.write_images(rows, files.read, images, labels)


def object_box(fields: list[str], image_id: str) -> Box:
    """Box from x, y, width, height."""
    try:
        x, y, width, height = map(float, fields)
    except ValueError:
        raise UserError(f"box of image '{image_id}' is '{' '.join(fields)}': it must be x y width height") from None
    return x, y, x + width, y + height


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write the object boxes, clipped to their images; this archive holds neither masks nor head boxes."""
    with Spool(raw / ARCHIVES[0].name, masks.parent, is_table) as files:
        sides = table(files, "bounding_boxes")
        numbers = {Path(path[0]).stem: number for number, path in table(files, "images").items() if path}

    def truth(image_id: str) -> Annotation:
        fields = sides.get(numbers[image_id])
        return Annotation(boxes=[object_box(fields, image_id)] if fields else [])

    write(labels, truth, masks, boxes, parts)
