"""Pictures side by side on one sheet, with names above, beside and below: plain pixels, the same on every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LINE = 18  # pixels, height of a line of text
FONT = 13  # pixels, size of the letters
GAP = 4  # pixels between pictures
ABOVE = 1  # pixels over a line of text
INK = (30, 30, 30)


def lay_out(
    rows: Sequence[Sequence[np.ndarray | None]],
    titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    size: int = 160,
) -> np.ndarray:
    """Lay pictures (H, W, 3) uint8 out as a table on white, the longer side of each `size` pixels.

    titles head the columns, row_titles stand left of the rows, captions[r][c] under each picture; text that
    does not fit is cut. None leaves a cell empty; rows may be of unequal length. Returns (height, width, 3)
    uint8; no rows give one white cell.
    """
    columns = max([len(row) for row in rows] + [len(titles or ()), 1])
    cells = [[picture if picture is None else _fit(picture, size) for picture in row] for row in rows]
    heights = [max((cell.height for cell in row if cell), default=size) for row in cells] or [size]
    left = GAP + (max((_measure(text) for text in row_titles), default=0) + GAP if row_titles else 0)
    lefts = [left + column * (size + GAP) for column in range(columns + 1)]
    below = GAP + (LINE if captions else 0)
    tops = np.cumsum([LINE if titles else GAP, *(height + below for height in heights)]).tolist()

    canvas = Image.new("RGB", (lefts[-1], tops[-1]), "white")
    pen = ImageDraw.Draw(canvas)
    for text, x in zip(titles or (), lefts, strict=False):
        _write(pen, (x, ABOVE), text, size)
    for text, top, height in zip(row_titles or (), tops, heights, strict=False):
        _write(pen, (GAP, top + (height - LINE) // 2), text, left)
    for row, top, height in zip(cells, tops, heights, strict=False):
        for cell, x in zip(row, lefts, strict=False):
            if cell:
                canvas.paste(cell, (x + (size - cell.width) // 2, top + (height - cell.height) // 2))
    for texts, top, height in zip(captions or (), tops, heights, strict=False):
        for text, x in zip(texts, lefts, strict=False):
            _write(pen, (x, top + height + ABOVE), text, size)
    return np.array(canvas)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=FONT)


def _measure(text: str) -> int:
    return int(np.ceil(_font().getlength(text)))


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    while text and _measure(text) > width:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    pen.text(place, text, fill=INK, font=_font())


def _fit(picture: np.ndarray, size: int) -> Image.Image:
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    return Image.fromarray(picture).resize(shape, Image.Resampling.BILINEAR)
