"""Drawn silhouettes: five kinds of the same strokes, told apart by the whole object (weakseg.data.sources.strokes)."""

from __future__ import annotations

from pathlib import Path

from weakseg.artifacts.truth import Annotation, mask_box, write
from weakseg.data.sources import drawn_set, strokes
from weakseg.data.sources.drawn_set import prepare as prepare


def fetch(source: str, out: Path, *, train_images: int, test_images: int, image_size: int, seed: int) -> None:
    """Draw the images into `out`: as many of each kind as of any other, give or take one; sizes in pixels.

    UserError: `source` is not 'official', too few images to show every kind, images too small for the fur.
    """
    plan = drawn_set.Plan(train_images, test_images, image_size, seed)
    plan.check("silhouettes", source, strokes.KINDS, smallest=32)
    with drawn_set.RawWriter(out) as writer:
        for image_id, kind, drawn in plan.draw(strokes.KINDS, strokes.draw):
            writer.add(image_id, kind, drawn.image, drawn.mask)


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write the mask and the box of every image; no object has parts."""
    mask_of = drawn_set.kind_masks(raw, labels)

    def truth(image_id: str) -> Annotation:
        mask = mask_of(image_id)
        return Annotation(mask, mask_box(mask > 0))

    write(labels, truth, masks, boxes, parts)
