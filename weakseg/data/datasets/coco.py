"""COCO 2017: 80 classes of things, several labels an image, masks and boxes.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014, arXiv 1405.0312.
Differs from the challenge: its validation images test, images without an annotation are left out, and the masks of
things are one mask of classes an image: a smaller thing lies over a larger one, a crowd is ignored.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.draw import polygon as draw_polygon

from weakseg.artifacts.formats.labels import class_names, load_labels
from weakseg.artifacts.truth import Annotation, Box, write
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.downloads import Official
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError

ADDRESS = "http://images.cocodataset.org"
ARCHIVES = (
    Official("train2017.zip", f"{ADDRESS}/zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),
    Official("val2017.zip", f"{ADDRESS}/zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80"),
    Official(
        "annotations_trainval2017.zip",
        f"{ADDRESS}/annotations/annotations_trainval2017.zip",
        "md5:f4bbac642086de4f52a3fdda2de5fa2c",
    ),
)
SPLITS = {"train2017": "train", "val2017": "test"}
LARGEST = 1 << 30  # bytes of a file of annotations; that of the training images has 448 MiB
FARTHEST = 1e6  # pixels, corner of a polygon
IGNORE = 255
AGAIN = "bring the archive again"
Outline = list[np.ndarray] | tuple[int, int, np.ndarray]  # polygons (N,2), or height, width and lengths of runs


@dataclass(frozen=True)
class Thing:
    """One annotation: its class, its box in pixels, half-open, whether it is a crowd, its area and its outline."""

    name: str
    box: Box
    crowd: bool
    area: float
    outline: Outline


@dataclass(frozen=True)
class Picture:
    """An image of a file of annotations: its name in the archive, its size, its things."""

    entry: str
    size: tuple[int, int]  # height, width
    things: list[Thing]


def fetch(source: str, out: Path) -> None:
    """Bring the three archives into `out`; `source` is 'official', a folder or an address."""
    downloads.bring_all(ARCHIVES, source, out)


def read_outline(segmentation: Any) -> Outline:
    """Polygons, or runs column by column that begin with background; compressed runs, which COCO lacks: ValueError."""
    if isinstance(segmentation, list):
        polygons = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in segmentation]
        if not all((np.abs(polygon) < FARTHEST).all() for polygon in polygons):
            raise ValueError("a polygon out of all bounds")
        return polygons
    if not isinstance(segmentation["counts"], list):
        raise ValueError("compressed runs")
    height, width = map(int, segmentation["size"])
    runs = np.asarray(segmentation["counts"], np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError("runs that do not fill the image")
    return height, width, runs


def read_thing(item: dict[str, Any], names: dict[int, str]) -> Thing:
    """One annotation; ValueError, LookupError, TypeError or ArithmeticError where it is none."""
    x, y, width, height = map(float, item["bbox"])
    outline = read_outline(item["segmentation"])
    return Thing(
        names[item["category_id"]], (x, y, x + width, y + height), bool(item["iscrowd"]), float(item["area"]), outline
    )


def read_pictures(content: bytes, name: str, outlines: bool) -> dict[str, Picture]:
    """The annotated images of a file of annotations by image id; without `outlines` those are empty.

    UserError where it is no JSON, or not laid out as COCO's.
    """
    try:
        whole = json.loads(content)
        names = {item["id"]: str(item["name"]) for item in whole["categories"]}
        things: dict[int, list[Thing]] = defaultdict(list)
        for item in whole["annotations"]:
            things[item["image_id"]].append(read_thing(item if outlines else item | {"segmentation": []}, names))
        return {
            Path(item["file_name"]).stem: Picture(
                f"{name}/{item['file_name']}", (int(item["height"]), int(item["width"])), things[item["id"]]
            )
            for item in whole["images"]
            if item["id"] in things
        }
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"annotations of {name} cannot be read ({problem}): {AGAIN}") from None


def read_sets(raw: Path, folder: Path, outlines: bool) -> dict[str, dict[str, Picture]]:
    """Annotated images of both sets, by the name of the set and the image id."""
    entries = {f"annotations/instances_{name}.json": name for name in SPLITS}
    with Spool(raw / ARCHIVES[2].name, folder, entries.__contains__, LARGEST) as files:
        return {name: read_pictures(files.read(entry), name, outlines) for entry, name in entries.items()}


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and the classes of their things; images without any are left out."""
    found = read_sets(raw, images.parent, outlines=False)
    rows = normal_form.select(
        [
            Listed(image_id, SPLITS[name], tuple(sorted({one.name for one in picture.things})), picture.entry)
            for name, pictures in found.items()
            for image_id, picture in pictures.items()
        ],
        selection,
    )
    wanted = {row.entry for row in rows}.__contains__
    with (
        Spool(raw / ARCHIVES[0].name, images.parent, wanted) as train,
        Spool(raw / ARCHIVES[1].name, images.parent, wanted) as val,
    ):
        normal_form.write_images(rows, lambda entry: (train if entry in train else val).read(entry), images, labels)


def draw(outline: Outline, size: tuple[int, int]) -> np.ndarray:
    """The pixels (H,W) bool whose middle an outline holds; ValueError: its runs are of an image of another size."""
    inside = np.zeros(size, bool)
    if isinstance(outline, list):
        for polygon in outline:
            # Corners are counted from the image's corner, pixels of the grid from the middle of the first.
            columns, rows = polygon.T - 0.5
            inside[draw_polygon(rows, columns, size)] = True
        return inside
    height, width, runs = outline
    if (height, width) != size:
        raise ValueError(f"runs of {width}x{height} pixels")
    sides = np.repeat(np.arange(len(runs)) % 2, runs)  # column by column
    return sides.reshape(width, height).T > 0


def paint(picture: Picture, ids: dict[str, int], image_id: str) -> np.ndarray:
    """Class ids (H,W): crowds 255, then things from the largest to the smallest; a class without id is ignored too."""
    mask = np.zeros(picture.size, np.uint8)
    order: Iterable[Thing] = sorted(picture.things, key=lambda one: (not one.crowd, -one.area))
    for one in order:
        try:
            mask[draw(one.outline, picture.size)] = IGNORE if one.crowd else ids.get(one.name, IGNORE)
        except ValueError as error:
            raise UserError(f"image '{image_id}' has a thing with {error}: {AGAIN}") from None
    return mask


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write a mask of classes and the boxes of every image; COCO has no boxes of heads.

    A crowd has no box, nor has a thing whose box is without width or height, as a few are.
    """
    frame = load_labels(labels)
    ids = {name: number for number, name in enumerate(class_names(frame), 1)}
    found = read_sets(raw, masks.parent, outlines=True)
    pictures = {image_id: picture for one in found.values() for image_id, picture in one.items()}

    def truth(image_id: str) -> Annotation:
        picture = pictures[image_id]
        size = int(frame.at[image_id, "height"]), int(frame.at[image_id, "width"])
        if picture.size != size:
            sizes = [f"{width}x{height}" for height, width in (picture.size, size)]
            raise UserError(f"image '{image_id}' has {sizes[1]} pixels, its annotation says {sizes[0]}: {AGAIN}")
        own = [one.box for one in picture.things if not one.crowd]
        return Annotation(paint(picture, ids, image_id), [box for box in own if box[2] > box[0] and box[3] > box[1]])

    write(labels, truth, masks, boxes, parts)
