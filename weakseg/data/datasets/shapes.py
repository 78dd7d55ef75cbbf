"""Drawn animals, the default: six kinds of one body, told apart by the head alone (weakseg.data.sources.drawing)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from weakseg.artifacts.truth import BOX_COLUMNS, Annotation, load_boxes, mask_box, save_boxes, write
from weakseg.data.sources import drawing, drawn_set
from weakseg.data.sources.drawn_set import prepare as prepare

HEADS = "heads.csv"


def fetch(source: str, out: Path, *, train_images: int, test_images: int, image_size: int, seed: int) -> None:
    """Draw the images into `out`: as many of each kind as of any other, give or take one; sizes in pixels.

    UserError: `source` is not 'official', too few images to show every kind, images too small for the heads' patterns.
    """
    plan = drawn_set.Plan(train_images, test_images, image_size, seed)
    plan.check("shapes", source, drawing.KINDS, smallest=48)
    heads: list[tuple] = []
    with drawn_set.RawWriter(out) as writer:
        for image_id, kind, drawn in plan.draw(drawing.KINDS, drawing.draw):
            writer.add(image_id, kind, drawn.image, drawn.animal)
            heads += [(image_id, *box) for box in mask_box(drawn.head)]
    save_boxes(out / HEADS, pd.DataFrame(heads, columns=BOX_COLUMNS))


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks, object boxes and head boxes of every image."""
    mask_of = drawn_set.kind_masks(raw, labels)
    heads = load_boxes(raw / HEADS).set_index("image_id")

    def truth(image_id: str) -> Annotation:
        mask = mask_of(image_id)
        return Annotation(mask, mask_box(mask > 0), [tuple(heads.loc[image_id])])

    write(labels, truth, masks, boxes, parts)
