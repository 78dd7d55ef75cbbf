"""How superpixels vote: the image, its superpixels, the map, its mean in each superpixel, and the mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.masks import IGNORE, Masks
from weakseg.data import grids
from weakseg.figures.drawing import heat, sheets
from weakseg.figures.drawing.pictures import draw_mask
from weakseg.figures.segments import draw_segments
from weakseg.masks import pseudomasks, superpixels
from weakseg.masks.refinement import Refinement

TITLES = ("image", "superpixels", "map", "mean of each", "pseudo-mask")
CELL = 160  # pixels


def squash(logits: np.ndarray) -> np.ndarray:
    """The highest of the logits (K, h, w) as (h, w) in [0, 1], with the threshold at 0.5; zeros where K = 0.

    In units of a map's standard deviation, so that few values end in the scale's first and last color.
    """
    return 1 / (1 + np.exp(-logits.max(0) / pseudomasks.UNIT)) if len(logits) else np.zeros(logits.shape[1:])


def draw_row(refinement: Refinement, kept: np.ndarray, image_id: str) -> tuple[list[np.ndarray], list[str]]:
    """Pictures (H, W, 3) uint8 of an image and its mask (H, W), in the order of TITLES, and their captions."""
    sources = refinement.sources
    image, segments = sources.images.image(image_id), sources.segments.segments(image_id)
    logits = grids.resize(refinement.logits(sources.cams.cams(image_id)), segments.shape)  # (K, H, W)
    means = superpixels.paint(superpixels.average(logits, segments), segments)  # (K, H, W)
    row = [
        image,
        draw_segments(image, segments),
        heat.blend(image, squash(logits)),
        draw_segments(heat.blend(image, squash(means)), segments),
        draw_mask(image, kept),
    ]
    ignored = "ignored whole" if (kept == IGNORE).all() else ""
    return row, [image_id, f"{segments.max() + 1} superpixels", "", "", ignored]


def draw_votes(refinement: Refinement, masks: Masks, ids: Sequence[str]) -> np.ndarray:
    """A sheet with one row an image; the map's color in the middle of the scale is the threshold.

    A refiner that looks at no superpixels is shown beside what they would have voted. No images: one pixel.
    """
    if not ids:
        return zips.NOTHING
    rows = [draw_row(refinement, masks.mask(image_id), image_id) for image_id in ids]
    return sheets.lay_out([row for row, _ in rows], titles=TITLES, captions=[texts for _, texts in rows], size=CELL)
