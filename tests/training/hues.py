"""Two classes of noise images that differ in hue, and the numbers of a short training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import zips
from weakseg.training import image_labels
from weakseg.training.image_labels import Dataset

SIZE = 32


def write(folder: Path, count: int = 48) -> Dataset:
    """Two classes of noise images that differ in hue."""
    rng = np.random.default_rng(0)
    rows = []
    with zips.ArchiveWriter(folder / "images") as writer:
        for index in range(count):
            image = rng.integers(0, 120, (SIZE, SIZE, 3)).astype(np.uint8)
            image[..., index % 2] += 90
            writer.add_bytes(f"{index:03}.png", zips.png_bytes(image))
            split = "test" if index >= count - 8 else "val" if index >= count - 16 else "train"
            rows.append(
                {
                    "image_id": f"{index:03}",
                    "split": split,
                    "labels": (("red", "green")[index % 2],),
                    "width": SIZE,
                    "height": SIZE,
                }
            )
    return Dataset(zips.Images(folder / "images"), pd.DataFrame(rows).set_index("image_id"), ["green", "red"])


def recipe(**changes) -> image_labels.Recipe:
    values = {
        "seed": 0, "image_size": SIZE, "target": "single", "epochs": 6, "patience": 6, "batch_size": 8,
        "head_batch_size": 256, "optimizer": "adamw", "schedule": "cosine", "warmup": 0.1, "learning_rate": 3e-3,
        "head_learning_rate": 3e-3, "weight_decay": 0.0, "label_smoothing": 0.0, "trainable_blocks": -1,
        "dice_weight": 0.0, "dice": "share", "dice_threshold": 0.3, "dice_rounds": 0,
        "precision": "fp32", "zoom_from": 0.9, "zoom_to": 1.1, "aspect": 1.0, "flip": True, "gain": 0.0,
        "brightness": 0.0, "center_crop": 0.0, "keep_every": 0,
    }  # fmt: skip
    return image_labels.Recipe(**(values | changes))
