"""Ground truth of a dataset, apart from its images and labels: masks, object boxes, boxes of parts."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from weakseg import store
from weakseg.errors import UserError
from weakseg.harness.progress import track

Box = tuple[float, float, float, float]  # x0, y0, x1, y1; half-open, pixels


@dataclass(frozen=True)
class Truth:
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
    """Decode a mask file to (H,W) whole numbers; UserError when unreadable or in color."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mask = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"mask of image '{image_id}' cannot be read ({error}): replace or remove it") from None
    if mask.ndim != 2:
        raise UserError(f"mask of image '{image_id}' is a color image: save class ids as a gray or indexed PNG")
    return mask.astype(np.int64)


def check_mask(mask: np.ndarray, width: int, height: int, classes: int, image_id: str) -> None:
    """UserError when a mask has another size than its image or names a class there is not."""
    if mask.shape != (height, width):
        size = "x".join(str(side) for side in mask.shape[1::-1])
        raise UserError(f"mask of image '{image_id}' is {size}, its image {width}x{height}: give both the same size")
    strange = mask[(mask > classes) & (mask != 255)]
    if strange.size:
        raise UserError(f"mask of image '{image_id}' holds {strange[0]}: use 0 to {classes} and 255 (ignore)")


def write(labels: Path, truth: Callable[[str], Truth], masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks, boxes and part boxes of the prepared images; images without any are legal.

    Boxes are clipped to their images. UserError: a mask of another size than its image, a class id out of range,
    a box outside its image.
    """
    frame = store.load_labels(labels)
    classes = len(store.class_names(frame))
    tables: dict[Path, list[tuple]] = {boxes: [], parts: []}
    with store.mask_writer(masks) as writer:
        for row in track(frame.itertuples(), "ground truth", len(frame)):
            found = truth(row.Index)
            if found.mask is not None:
                check_mask(found.mask, row.width, row.height, classes, row.Index)
                writer.add(row.Index, found.mask)
            for path, items in ((boxes, found.boxes), (parts, found.parts)):
                tables[path] += [(row.Index, *clip_box(box, row.width, row.height, row.Index)) for box in items]
    for path, table in tables.items():
        store.save_boxes(path, pd.DataFrame(table, columns=store.BOX_COLUMNS))


def counts(labels: Path, masks: Path, boxes: Path) -> dict[str, int]:
    """Images of each split, classes, and images without ground truth."""
    frame = store.load_labels(labels)
    return {
        "images": len(frame),
        **{f"images_{split}": int((frame["split"] == split).sum()) for split in store.SPLITS},
        "classes": len(store.class_names(frame)),
        "images_without_mask": len(frame) - len(store.Masks(masks)),
        "images_without_box": len(frame) - store.load_boxes(boxes)["image_id"].nunique(),
    }
