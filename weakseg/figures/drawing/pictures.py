"""Maps, masks and boxes drawn on images: plain pixels, the same bytes on every run.

Colors follow Mikhailov, "Turbo, an improved rainbow colormap for visualization" (2019) for heat and the
ten-color Tableau palette for classes.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw

from weakseg.artifacts.formats.masks import IGNORE

CLASSES = np.array(
    [
        (214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189),
        (140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207), (127, 127, 127),
    ],
    dtype=np.uint8,
)  # fmt: skip
WHITE = np.array([255, 255, 255], dtype=np.uint8)
YELLOW = (255, 221, 0)
SIDE_PER_LINE = 200  # pixels of the longer side for each pixel of an outline, so that thumbnails still show it


def draw_mask(image: np.ndarray, mask: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Tint image (H, W, 3) uint8 by mask (h, w) uint8 class ids, each region outlined: (H, W, 3) uint8.

    Background (0) stays as it is, class k takes the k-th color (the ten colors repeat), 255 (ignore) turns
    white. A mask of another size is resized by nearest neighbor.
    """
    height, width = image.shape[:2]
    if mask.shape != (height, width):
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    paint = color_ids(mask)
    tinted = np.where((mask > 0)[..., None], mix(image, paint, opacity), image)
    return np.where(_find_inner_edges(mask)[..., None], paint, tinted).astype(np.uint8)


def color_ids(ids: np.ndarray) -> np.ndarray:
    """Color class ids (...): (..., 3) uint8, the ten colors in turn from id 1 on, 255 white, 0 undefined."""
    ids = np.asarray(ids)
    colors = CLASSES[(ids.astype(np.int64) - 1) % len(CLASSES)]
    return np.where((ids == IGNORE)[..., None], WHITE, colors)


def draw_boxes(
    image: np.ndarray, boxes: np.ndarray, color: tuple[int, int, int] = YELLOW, width: int = 2
) -> np.ndarray:
    """Outline boxes (N, 4), half-open x0 y0 x1 y1 in pixels, on image (H, W, 3) uint8: (H, W, 3) uint8.

    Boxes are clipped to the image; one that is empty after clipping is not drawn.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for x0, y0, x1, y1 in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, canvas.width), min(y1, canvas.height)
        if right > left and bottom > top:
            # Pillow counts the last row and column in, a box does not
            pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color, width=width)
    return np.array(canvas)


def mix(image: np.ndarray, paint: np.ndarray, opacity: float) -> np.ndarray:
    """Lay paint (H, W, 3) over image (H, W, 3) uint8, rounded: 0 leaves the image, 1 the paint."""
    mixed = (1 - opacity) * image.astype(np.float64) + opacity * paint.astype(np.float64)
    return np.rint(mixed).astype(np.uint8)


def _find_inner_edges(mask: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool of regions (id > 0) with another id within the line's width, straight along row or column."""
    reach = max(round(max(mask.shape) / SIDE_PER_LINE), 1)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * reach + 1, 2 * reach + 1))
    return (cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, cross) > 0) & (mask > 0)
