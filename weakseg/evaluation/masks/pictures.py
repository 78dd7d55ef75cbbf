"""The masks of every step side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.evaluation.masks.chain import Chain
from weakseg.evaluation.masks.measurement import own_miou
from weakseg.figures.drawing import sheets
from weakseg.figures.drawing.pictures import draw_mask

CELL = 128  # pixels


def draw_steps(chain: Chain, ids: Sequence[str]) -> np.ndarray:
    """One row an image: the image, its true mask, and its mask at each step with its own mean IoU below."""
    true = [chain.truth.mask(name) for name in ids]
    steps = {title: [one.mask for one in step.stream(ids)] for title, step in chain.list_trained().items()}
    rows, captions, classes = [], [], chain.count_classes()
    for number, name in enumerate(ids):
        image, masks = chain.artifacts.images.image(name), [column[number] for column in steps.values()]
        rows.append([image, *(draw_mask(image, mask) for mask in (true[number], *masks))])
        captions.append([name, "", *(f"{own_miou(mask, true[number], classes):.3f}" for mask in masks)])
    return sheets.lay_out(rows, titles=["image", "truth", *steps], captions=captions, size=CELL)
