"""Ground truth behind its own door: masks, boxes and parts, written by data sets, read by evaluations alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import image_files
from weakseg.artifacts.formats.labels import LABELED, SPLITS, class_names, load_labels
from weakseg.artifacts.formats.masks import Masks, MaskWriter
from weakseg.artifacts.formats.tables import load_table
from weakseg.artifacts.sampling import evenly
from weakseg.errors import UserError
from weakseg.harness.files import save_csv
from weakseg.harness.progress import track

Box = tuple[float, float, float, float]  # x0, y0, x1, y1; half-open, pixels


@dataclass(frozen=True)
class Annotation:
    """Ground truth of one image; no mask and no boxes where there is none."""

    mask: np.ndarray | None = None
    boxes: list[Box] = field(default_factory=list)
    parts: list[Box] = field(default_factory=list)


def clip_box(box: Box, width: int, height: int, image_id: str) -> Box:
    """The part of a box that lies in its image; UserError when it is not finite or nothing is left."""
    x0, y0, x1, y1 = (min(max(value, 0), limit) for value, limit in zip(box, (width, height) * 2, strict=True))
    if not all(map(math.isfinite, box)) or x1 <= x0 or y1 <= y0:
        raise UserError(
            f"box {box} of image '{image_id}' covers nothing of its {width}x{height} pixels: mend or remove it"
        )
    return x0, y0, x1, y1


def mask_box(foreground: np.ndarray) -> list[Box]:
    """Bounding box of the true pixels of (H,W) bool as a list; an empty mask has none."""
    rows, columns = np.flatnonzero(foreground.any(1)), np.flatnonzero(foreground.any(0))
    if not rows.size:
        return []
    return [(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)]


def decode_mask(content: bytes, image_id: str) -> np.ndarray:
    """Decode a mask file to (H,W) whole numbers, reduced where its image is; UserError when unreadable or in color."""
    with image_files.opened(content, f"mask of image '{image_id}'") as image:
        mask = np.asarray(image)
    if mask.ndim != 2 or mask.dtype.kind == "f":
        kind = "a color image" if mask.ndim != 2 else "an image of fractions"
        raise UserError(f"mask of image '{image_id}' is {kind}: save class ids as a gray or indexed PNG")
    return image_files.reduce_ids(mask).astype(np.int64)


def check_mask(mask: np.ndarray, width: int, height: int, classes: int, image_id: str) -> None:
    """UserError when a mask has another size than its image or names a class there is not."""
    if mask.shape != (height, width):
        size = "x".join(str(side) for side in mask.shape[1::-1])
        raise UserError(f"mask of image '{image_id}' is {size}, its image {width}x{height}: give both the same size")
    strange = mask[(mask > classes) & (mask != 255)]
    if strange.size:
        raise UserError(f"mask of image '{image_id}' holds {strange[0]}: use 0 to {classes} and 255 (ignore)")


def write(labels: Path, truth: Callable[[str], Annotation], masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks, boxes and part boxes of the prepared images; images without any are legal.

    Boxes are clipped to their images. UserError: a mask of another size than its image, a class id out of range,
    a box outside its image.
    """
    frame = load_labels(labels)
    classes = len(class_names(frame))
    tables: dict[Path, list[tuple]] = {boxes: [], parts: []}
    with MaskWriter(masks) as writer:
        for row in track(frame.itertuples(), "ground truth", len(frame)):
            found = truth(row.Index)
            if found.mask is not None:
                check_mask(found.mask, row.width, row.height, classes, row.Index)
                writer.add(row.Index, found.mask)
            for path, items in ((boxes, found.boxes), (parts, found.parts)):
                tables[path] += [(row.Index, *clip_box(box, row.width, row.height, row.Index)) for box in items]
    for path, table in tables.items():
        save_boxes(path, pd.DataFrame(table, columns=BOX_COLUMNS))


def counts(labels: Path, masks: Path, boxes: Path) -> dict[str, int]:
    """Images of each split, classes, and images without ground truth."""
    frame = load_labels(labels)
    splits = list(frame["split"])
    return {
        "images": len(frame),
        **{f"images_{split}": count for split in SPLITS if (count := splits.count(split)) or split in LABELED},
        "classes": len(class_names(frame)),
        "images_without_mask": len(frame) - len(Masks(masks)),
        "images_without_box": len(frame) - load_boxes(boxes)["image_id"].nunique(),
    }


BOX_COLUMNS = ["image_id", "x0", "y0", "x1", "y1"]


def load_boxes(path: Path) -> pd.DataFrame:
    """Read boxes: image_id, x0, y0, x1, y1; half-open, in pixels of the prepared image; may have no row."""
    return load_table(path, BOX_COLUMNS)[BOX_COLUMNS].astype(dict.fromkeys(BOX_COLUMNS[1:], float))


def save_boxes(path: Path, frame: pd.DataFrame) -> None:
    """Write boxes sorted by image."""
    save_csv(path, frame[BOX_COLUMNS].sort_values(BOX_COLUMNS, kind="stable"))


@dataclass(frozen=True)
class TrueMasks:
    """True masks and head boxes of the prepared images, for evaluation alone."""

    masks: Masks
    labels: pd.DataFrame
    heads: dict[str, np.ndarray] = field(default_factory=dict)

    def shape(self, image_id: str) -> tuple[int, int]:
        """(H, W) of the image."""
        row = self.labels.loc[image_id]
        return int(row["height"]), int(row["width"])

    def mask(self, image_id: str) -> np.ndarray:
        """True mask (H, W) uint8; UserError where it is not as large as its image."""
        mask = self.masks.mask(image_id)
        if mask.shape != self.shape(image_id):
            sizes = [f"{width}x{height}" for height, width in (mask.shape, self.shape(image_id))]
            raise UserError(
                f"{self.masks.path}: mask '{image_id}' has {sizes[0]} pixels but its image {sizes[1]}: "
                "mend the data set and rerun prepare_data"
            )
        return mask

    def chosen(self, splits: Mapping[str, Sequence[str]], most: int) -> dict[str, list[str]]:
        """Images with a mask in each group of splits, at most `most` evenly spaced ones (0: all).

        A group without any is left out; UserError where that leaves nothing.
        """
        found = {}
        for group, names in splits.items():
            known = [name for name in self._listed(names) if name in self.masks]
            if known:
                found[group] = evenly(known, most) if most > 0 else known
        if not found:
            raise UserError(
                f"{self.masks.path} holds no mask of a listed image: there is no ground truth to score masks by"
            )
        return found

    def counts(self, splits: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """How many images of each group have a mask, have none, and have a head box."""
        counts: dict[str, int] = {}
        for group, names in splits.items():
            listed = self._listed(names)
            known = sum(name in self.masks for name in listed)
            counts |= {f"{group}_with_mask": known, f"{group}_without_mask": len(listed) - known}
            counts[f"{group}_with_head"] = sum(name in self.heads for name in listed)
        return counts

    def _listed(self, splits: Sequence[str]) -> list[str]:
        return [str(name) for name in self.labels.index[self.labels["split"].isin(splits)]]


def heads(boxes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Boxes (N, 4) of each image in a table of boxes."""
    columns = ["x0", "y0", "x1", "y1"]
    return {str(name): rows[columns].to_numpy(float) for name, rows in boxes.groupby("image_id")}
