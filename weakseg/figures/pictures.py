"""Pictures of maps, masks and boxes on images: plain pixels, the same bytes on every run.

Colors follow Mikhailov, "Turbo, an improved rainbow colormap for visualization" (2019) for heat and the
ten-color Tableau palette for classes.
Differs from the paper: turbo is rebuilt from thirteen of its 256 entries with straight lines between them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
from weakseg.artifacts.zips import IGNORE

TURBO = np.array(
    [
        (48, 18, 59), (65, 69, 171), (70, 117, 237), (57, 162, 252), (27, 207, 212), (36, 236, 166),
        (97, 252, 108), (164, 252, 59), (209, 232, 52), (243, 198, 58), (254, 155, 45), (227, 68, 10), (122, 4, 2),
    ],
    dtype=np.float64,
)  # fmt: skip
CLASSES = np.array(
    [
        (214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189),
        (140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207), (127, 127, 127),
    ],
    dtype=np.uint8,
)  # fmt: skip
WHITE = np.array([255, 255, 255], dtype=np.uint8)
LINE = 18


def heat(image: np.ndarray, map: np.ndarray) -> np.ndarray:
    """Color a map (h, w) in [0, 1] at the size of image (H, W, 3): (H, W, 3) uint8, dark blue 0, dark red 1.

    The map may have any size (resized bilinearly); values outside [0, 1] are clipped, NaN is drawn as 0.
    """
    height, width = image.shape[:2]
    values = np.nan_to_num(np.asarray(map, dtype=np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    resized = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
    position = np.clip(np.asarray(resized, dtype=np.float64), 0, 1) * (len(TURBO) - 1)
    knots = np.arange(len(TURBO))
    channels = [np.interp(position, knots, TURBO[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def blend(image: np.ndarray, map: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay the heat of a map (h, w) in [0, 1] over image (H, W, 3) uint8: (H, W, 3) uint8."""
    return _mix(image, heat(image, map), opacity)


def mask(image: np.ndarray, mask: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Tint image (H, W, 3) uint8 by mask (H, W) class ids, each region outlined: (H, W, 3) uint8.

    Background (0) stays as it is, class k takes the k-th color (the ten colors repeat), 255 (ignore) turns
    white. A mask of another size is resized by nearest neighbor.
    """
    height, width = image.shape[:2]
    if mask.shape != (height, width):
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    paint = class_colors(mask)
    painted = np.where((mask > 0)[..., None], _mix(image, paint, opacity), image)
    return np.where(_inner_edge(mask)[..., None], paint, painted).astype(np.uint8)


def class_colors(ids: np.ndarray) -> np.ndarray:
    """Color of class ids (...): (..., 3) uint8.

    The ten colors in turn from id 1 on, 255 white, 0 undefined.
    """
    ids = np.asarray(ids)
    colors = CLASSES[(ids.astype(np.int64) - 1) % len(CLASSES)]
    return np.where((ids == IGNORE)[..., None], WHITE, colors)


def boxes(
    image: np.ndarray, boxes: np.ndarray, color: tuple[int, int, int] = (255, 221, 0), width: int = 2
) -> np.ndarray:
    """Outline boxes (N, 4), half-open x0 y0 x1 y1 in pixels, on image (H, W, 3) uint8: (H, W, 3) uint8.

    Boxes are clipped to the image; one that is empty after clipping is not drawn.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    height, wide = image.shape[:2]
    for x0, y0, x1, y1 in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, wide), min(y1, height)
        if right > left and bottom > top:
            pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color, width=width)
    return np.array(canvas)


def grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    size: int = 160,
    gap: int = 4,
) -> np.ndarray:
    """Lay pictures (H, W, 3) uint8 out as a table on white, the longer side of each `size` pixels.

    titles head the columns, row_titles stand left of the rows, captions[r][c] under each picture; text that
    does not fit is cut. None leaves a cell empty; rows may be of unequal length. Returns (height, width, 3)
    uint8; no rows give one white cell.
    """
    columns = max([len(row) for row in rows] + [len(titles or ()), 1])
    left = gap + (max((_text_width(text) for text in row_titles), default=0) + gap if row_titles else 0)
    fitted = [[picture if picture is None else _fit(picture, size) for picture in row] for row in rows]
    heights = [max((cell.height for cell in row if cell), default=size) for row in fitted] or [size]
    tops = np.cumsum([LINE if titles else gap, *(high + gap + (LINE if captions else 0) for high in heights)])
    shape = (int(tops[-1]), left + columns * (size + gap), 3)
    canvas = Image.fromarray(np.full(shape, 255, dtype=np.uint8))
    pen = ImageDraw.Draw(canvas)
    lefts = [left + column * (size + gap) for column in range(columns)]
    for text, x in zip(titles or (), lefts, strict=False):
        _write(pen, (x, 1), text, size)
    for number, (row, top, high) in enumerate(zip(fitted, tops.tolist(), heights, strict=False)):
        if row_titles:
            _write(pen, (gap, top + (high - LINE) // 2), row_titles[number], left)
        for column, (cell, x) in enumerate(zip(row, lefts, strict=False)):
            if cell:
                canvas.paste(cell, (x + (size - cell.width) // 2, top + (high - cell.height) // 2))
            if captions:
                _write(pen, (x, top + high + 1), captions[number][column], size)
    return np.array(canvas)


def figure_bytes(figure: Figure) -> bytes:
    """Render a matplotlib figure as PNG bytes without date or version: the same figure, the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _mix(image: np.ndarray, paint: np.ndarray, opacity: float) -> np.ndarray:
    mixed = (1 - opacity) * image.astype(np.float64) + opacity * paint.astype(np.float64)
    return np.rint(mixed).astype(np.uint8)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=13)


def _text_width(text: str) -> int:
    return int(np.ceil(_font().getlength(text)))


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    while text and _text_width(text) > width:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    pen.text(place, text, fill=(30, 30, 30), font=_font())


def _fit(picture: np.ndarray, size: int) -> Image.Image:
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    return Image.fromarray(picture).resize(shape, Image.Resampling.BILINEAR)


def _inner_edge(mask: np.ndarray) -> np.ndarray:
    """Pixels of regions (id > 0) that are next to another id, thick enough to survive a thumbnail."""
    edge = np.zeros(mask.shape, dtype=bool)
    for step in range(1, max(round(max(mask.shape) / 200), 1) + 1):
        sideways, upright = mask[:, step:] != mask[:, :-step], mask[step:] != mask[:-step]
        edge[:, step:] |= sideways
        edge[:, :-step] |= sideways
        edge[step:] |= upright
        edge[:-step] |= upright
    return edge & (mask > 0)
