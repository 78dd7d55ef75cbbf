"""Twelve drawn images with a bright square, maps that find it, and a small classifier with random weights."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from weakseg.artifacts import activations, tables, truth, zips
from weakseg.harness import files
from weakseg.networks.loading import saved_classifier

IDS = [f"image{number:02d}" for number in range(12)]
CLASSES = ["green", "red"]
SIDE = 64


def split_of(number: int) -> str:
    """Six training, two validation and four test images."""
    return "train" if number < 6 else "val" if number < 8 else "test"


def place(number: int) -> tuple[int, int, int, int]:
    """The box x0, y0, x1, y1 of an image's square."""
    x, y = 8 + 3 * (number % 4), 12 + 2 * (number % 5)
    return x, y, x + 32, y + 24


def cells(number: int, good: bool = True) -> np.ndarray:
    """A map (8, 8) that is 1 inside the square and falls to 0 outside; where not good, it is upside down."""
    rows, columns = np.indices((8, 8)) * 8 + 4
    x0, y0, x1, y1 = place(number)
    inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
    return np.where(inside == good, 1.0, 0.0).astype(np.float32)


def write(folder: Path, bad: tuple[str, ...] = (), wrong: tuple[str, ...] = ()) -> dict[str, Path]:
    """Write images, labels, true boxes and masks, maps (upside down for `bad`) and predictions (wrong for `wrong`)."""
    paths = {name: folder / f"{name}.zip" for name in ("images", "masks", "cams")}
    paths |= {name: folder / f"{name}.csv" for name in ("labels", "boxes", "predictions")}
    labels, boxes, predictions = [], [], []
    with (
        zips.archive_writer(paths["images"]) as images,
        zips.mask_writer(paths["masks"]) as masks,
        activations.cams_writer(paths["cams"]) as cams,
    ):
        for number, name in enumerate(IDS):
            x0, y0, x1, y1 = place(number)
            k = number % 2
            pixels, mask = np.full((SIDE, SIDE, 3), 40, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
            pixels[y0:y1, x0:x1, 1 - k], mask[y0:y1, x0:x1] = 220, k + 1
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            images.add_bytes(f"{name}.png", buffer.getvalue())
            masks.add(name, mask)
            scores = cells(number, name not in bad)[None]
            stored = 1 - k if name in wrong else k
            cams.add(name, activations.CamEntry(scores, np.array([stored]), scores[0], scores))
            labels.append((name, split_of(number), (CLASSES[k],), SIDE, SIDE))
            boxes.append((name, x0, y0, x1, y1))
            predictions.append({"image_id": name, "predicted": CLASSES[stored], "probability": 0.9})
    tables.save_labels(paths["labels"], pd.DataFrame(labels, columns=tables.LABEL_COLUMNS).set_index("image_id"))
    truth.save_boxes(paths["boxes"], pd.DataFrame(boxes, columns=truth.BOX_COLUMNS))
    files.save_csv(paths["predictions"], predictions)
    return paths


def write_classifier(path: Path) -> None:
    """A small RepLKNet with random weights for images of 32 pixels."""
    header = saved_classifier.Header("replknet", "small", CLASSES, 32)
    saved_classifier.save(path, saved_classifier.build(header, 5), header)
