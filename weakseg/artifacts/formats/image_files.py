"""Image files of every kind as plain RGB: the one place where the bytes of an image become pixels.

    8 bits a channel            as they are; palette, gray, CMYK, YCbCr as Pillow turns them into RGB
    16 bits, several channels   the upper 8
    one channel of more bits    whole numbers or floats: the lowest value black, the highest white, linear between; an
                                image of one value is black; NaN or infinity is refused
    transparency                laid over white
    orientation (EXIF)          turned upright
    several pages or frames     the first
    more than MOST_PIXELS       every side divided by the smallest power of two that leaves no more
    more than LIMIT pixels      refused: at these sizes one image fills the memory of a small machine

OpenCV decodes what it decodes to the very pixels of Pillow, in two thirds of the time: whole JPEGs in gray or RGB.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ExifTags, Image

from weakseg.errors import UserError

MOST_PIXELS = 4096 * 4096
LIMIT = 178_956_970  # pixels, 13,377 a side: Pillow's own guard against decompression bombs
BLOCK = 256  # rows that are scaled at once
PAGES = "several pages or frames: the first is taken"
DEPTH = "more than 8 bits a pixel: the lowest value becomes black, the highest white"
ALPHA = "transparent: laid over white"
LARGE = f"more than {MOST_PIXELS:,} pixels: reduced, with masks and boxes"

# What decoders raise on bytes that are no image, or half of one.
DAMAGE = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError,
    AssertionError, RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """Pixels (H,W,3) uint8 RGB, upright, and what was done to them that their owner should know.

    `shape` is the height and width of the file, upright: more than those of `pixels` where it was reduced.
    """

    pixels: np.ndarray
    shape: tuple[int, int]
    notes: tuple[str, ...] = ()


@contextmanager
def opened(content: bytes, noun: str) -> Iterator[Image.Image]:
    """The first page of an image file, not decoded yet; UserError names (`noun`) one that cannot be read.

    Errors of the body, where the decoding is done, count too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on damaged metadata, and on sizes that LIMIT allows
            with Image.open(io.BytesIO(content)) as image:
                yield image
    except Image.DecompressionBombError:
        raise UserError(f"{noun} has more than {LIMIT:,} pixels: make it smaller or remove it") from None
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{noun} cannot be read ({reason}): replace or remove it") from None


def reduction(width: int, height: int) -> int:
    """The smallest power of two by which the sides are divided to leave at most MOST_PIXELS; 1 for most images."""
    factor = 1
    while math.ceil(width / factor) * math.ceil(height / factor) > MOST_PIXELS:
        factor *= 2
    return factor


def reduction_of(content: bytes, noun: str) -> int:
    """As `reduction`, of an image file, whose pixels stay undecoded."""
    with opened(content, noun) as image:
        return reduction(*image.size)


def reduce_ids(ids: np.ndarray) -> np.ndarray:
    """A map of ids (H,W) on the grid of its reduced image: of each block the pixel nearest to its center."""
    factor = reduction(ids.shape[1], ids.shape[0])
    if factor == 1:
        return ids
    rows, columns = (np.minimum(np.arange(0, side, factor) + factor // 2, side - 1) for side in ids.shape)
    return ids[rows[:, None], columns]


def is_deep(image: Image.Image) -> bool:
    """Whether an image is one channel of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def scale_depth(values: np.ndarray) -> Image.Image:
    """Gray image of (H,W) numbers, their lowest black and their highest white, linear; ValueError where not finite."""
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        raise ValueError("it holds NaN or infinity")
    gray, span = np.zeros(values.shape, np.uint8), high - low
    # Block by block: a whole image as float64 would take eight times its place.
    for start in range(0, len(values) if span else 0, BLOCK):
        rows = slice(start, start + BLOCK)
        gray[rows] = np.rint((values[rows].astype(np.float64) - low) * (255 / span))
    return Image.fromarray(gray)


def lay_over_white(image: Image.Image) -> Image.Image:
    """A transparent image over white, in RGB."""
    solid = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid).convert("RGB")


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H,W,3) as an EXIF orientation of 1 to 8 wants them shown; another number changes nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def decode_fast(image: Image.Image, content: bytes) -> np.ndarray | None:
    """Pixels (H,W,3) of a whole JPEG in gray or RGB by OpenCV, not turned; None for everything else."""
    # A JPEG that was cut short lacks its end: Pillow refuses it, OpenCV would fill it with gray.
    if image.format != "JPEG" or image.mode not in ("L", "RGB") or not content.endswith(b"\xff\xd9"):
        return None
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if found is None else cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def decode_slowly(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels of any image by Pillow, not turned: reduced, its depth scaled, without transparency; and the notes."""
    notes = [PAGES] if getattr(image, "is_animated", False) and image.format != "MPO" else []
    width, height = image.size
    factor = reduction(width, height)
    if factor > 1:
        image.draft(None, (math.ceil(width / factor), math.ceil(height / factor)))  # JPEGs are decoded smaller
        notes.append(LARGE)
    if is_deep(image):
        image = scale_depth(np.asarray(image))
        notes.append(DEPTH)
    elif image.has_transparency_data or image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    left = factor * image.width // width if factor > 1 else 1  # what the draft has not done yet
    image = image.reduce(left) if left > 1 else image
    if image.has_transparency_data:
        laid = lay_over_white(image)
        notes += [ALPHA] if image.convert("RGBA").getchannel("A").getextrema() != (255, 255) else []
        image = laid
    return np.asarray(image.convert("RGB")), tuple(notes)


def shape_upright(pixels: np.ndarray, width: int, height: int) -> tuple[int, int]:
    """(height, width) of a file of that size, turned as its upright pixels (H,W,3), reduced or not, are."""
    factor = reduction(width, height)
    lying = pixels.shape[:2] == (math.ceil(height / factor), math.ceil(width / factor))
    return (height, width) if lying else (width, height)


def decode(content: bytes, name: str) -> Picture:
    """An image file as RGB, by the rules above; UserError names one that cannot be read or is too large."""
    with opened(content, f"image '{name}'") as image:
        width, height = image.size
        fast = decode_fast(image, content) if width * height <= MOST_PIXELS else None
        pixels, notes = decode_slowly(image) if fast is None else (fast, ())
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)  # now: Pillow turns a TIFF as it decodes it
        upright = np.ascontiguousarray(turn_upright(pixels, orientation))
        return Picture(upright, shape_upright(upright, width, height), notes)


def decode_pixels(content: bytes, name: str) -> np.ndarray:
    """The pixels of `decode`."""
    return decode(content, name).pixels
