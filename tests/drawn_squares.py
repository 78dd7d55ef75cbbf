"""Bright squares on dark noise with their masks and superpixels, and a tiny classifier, as the stages read them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from weakseg.artifacts import tables, zips
from weakseg.harness import choices
from weakseg.networks.loading import saved_classifier

CLASSES = ["green", "red"]
SIDE = 32


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (32,32,3) uint8 with a square whose color is its class, number % 2, and its mask of class ids."""
    generator = np.random.default_rng(number)
    image = generator.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    top, left = generator.integers(2, 16, size=2)
    window = (slice(top, top + 12), slice(left, left + 12))
    image[window] = (220, 40, 40) if number % 2 else (40, 220, 40)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[window] = number % 2 + 1
    return image, mask


def write(folder: Path, count: int = 8) -> dict[str, Path]:
    """Every input of the training stages, the last two images being test images; the paths by their flags."""
    names = [f"image{number:02}" for number in range(count)]
    paths = {name: folder / f"{name}.zip" for name in ("images", "masks", "superpixels")}
    paths |= {"labels": folder / "labels.csv", "classifier": folder / "classifier.safetensors"}
    with (
        zips.archive_writer(paths["images"]) as images,
        zips.mask_writer(paths["masks"]) as masks,
        zips.segments_writer(paths["superpixels"]) as superpixels,
    ):
        for number, name in enumerate(names):
            image, mask = draw(number)
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            images.add_bytes(f"{name}.png", buffer.getvalue())
            masks.add(name, mask)
            rows, columns = np.indices(mask.shape) // 8
            superpixels.add(name, rows * 4 + columns)
    labels = [(CLASSES[number % 2],) for number in range(count)]
    splits = ["train"] * (count - 2) + ["test"] * 2
    frame = pd.DataFrame({"split": splits, "labels": labels, "width": SIDE, "height": SIDE}, index=names)
    tables.save_labels(paths["labels"], frame)
    saved_classifier.save(paths["classifier"], tiny(), header())
    return paths


def header() -> saved_classifier.Header:
    """Of the classifier `tiny`."""
    return saved_classifier.Header("mobilenet", "small", CLASSES, SIDE)


def tiny(classes: int = 2):
    """The backbone that the drawn data uses, untrained."""
    torch.manual_seed(0)
    return choices.load("backbones", "mobilenet").build("small", classes, "random").eval()
