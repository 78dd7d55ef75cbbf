"""Drawn silhouettes: five kinds of the same strokes, told apart by the whole object alone (weakseg.data.sources)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import LABEL_COLUMNS, class_names, load_labels, save_labels
from weakseg.artifacts.formats.masks import Masks, MaskWriter
from weakseg.artifacts.truth import Annotation, mask_box, write
from weakseg.data.sources import normal_form, strokes
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError
from weakseg.harness.progress import track

IMAGES, MASKS, LABELS = "images.zip", "masks.zip", "labels.csv"


def fetch(source: str, out: Path, *, train_images: int, test_images: int, image_size: int, seed: int) -> None:
    """Draw the images into `out`: as many of each kind as of any other, give or take one; sizes in pixels.

    An image depends on the seed, its split and its number alone. UserError: `source` is not 'official', too few
    images to show every kind, images too small for the fur.
    """
    if source != "official":
        raise UserError(f"data 'silhouettes' is drawn, download.source '{source}' cannot be used: set it to official")
    if min(train_images, test_images) < len(strokes.KINDS) or image_size < 32 or seed < 0:
        raise UserError(
            f"silhouettes: train_images {train_images} and test_images {test_images} must be {len(strokes.KINDS)} or "
            f"more, image_size {image_size} 32 or more, seed {seed} 0 or more"
        )
    kinds, rows = sorted(strokes.KINDS), []
    numbers = [("test", n) for n in range(test_images)] + [("train", n) for n in range(train_images)]
    with ExitStack() as stack:
        images = stack.enter_context(zips.ArchiveWriter(out / IMAGES))
        masks = stack.enter_context(MaskWriter(out / MASKS))
        for split, number in track(numbers, "drawings"):
            image_id, kind = f"{split}_{number:05d}", kinds[number % len(kinds)]
            drawn = strokes.draw(kind, image_size, np.random.default_rng([seed, split == "test", number]))
            images.add_bytes(f"{image_id}.png", zips.png_bytes(drawn.image))
            masks.add(image_id, drawn.mask)
            rows.append((image_id, split, (kind,), image_size, image_size))
    save_labels(out / LABELS, pd.DataFrame(rows, columns=LABEL_COLUMNS).set_index("image_id"))


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and kinds."""
    frame, drawn = load_labels(raw / LABELS), zips.Images(raw / IMAGES)
    rows = [Listed(row.Index, row.split, row.labels, f"{row.Index}.png") for row in frame.itertuples()]
    normal_form.write_images(
        normal_form.select(rows, selection), lambda entry: drawn.read(entry.removesuffix(".png")), images, labels
    )


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write the mask and the box of every image; no object has parts."""
    frame, drawn = load_labels(labels), Masks(raw / MASKS)
    names = class_names(frame)

    def truth(image_id: str) -> Annotation:
        mask = drawn.mask(image_id) * np.uint8(1 + names.index(frame["labels"][image_id][0]))
        return Annotation(mask, mask_box(mask > 0))

    write(labels, truth, masks, boxes, parts)
