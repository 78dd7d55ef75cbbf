"""Maps on image grids in numpy: resizing, min-max, and the step from scores to a mask with an ignore value."""

from __future__ import annotations

import cv2
import numpy as np

from weakseg.artifacts.formats.masks import IGNORE


def resize(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (K,h,w) to (K,*shape) float32: bilinear where it grows, area means where it shrinks; K may be 0."""
    height, width = shape
    if maps.shape[1:] == (height, width):
        return np.asarray(maps, np.float32)
    shrinks = maps.shape[1] > height and maps.shape[2] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    planes = [cv2.resize(np.asarray(plane, np.float32), (width, height), interpolation=method) for plane in maps]
    return np.stack(planes) if planes else np.zeros((0, height, width), np.float32)


def bound(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """The (height, width) with the same aspect whose longer side is at most `longest` pixels; each at least 1."""
    scale = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H,W,3) uint8 to (*shape,3): area means where it shrinks, bilinear where it grows."""
    if image.shape[:2] == shape:
        return image
    shrinks = image.shape[0] > shape[0] and image.shape[1] > shape[1]
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def minmax(maps: np.ndarray) -> np.ndarray:
    """Each map of (K,h,w) to [0, 1]; a flat map becomes zeros."""
    low = maps.min((1, 2), keepdims=True)
    span = maps.max((1, 2), keepdims=True) - low
    return np.where(span > 0, (maps - low) / np.where(span > 0, span, 1), 0).astype(np.float32)


def decide(scores: np.ndarray, threshold: float, band: float) -> np.ndarray:
    """Mask (H,W) uint8 from scores (K,H,W): j + 1 where map j is the highest and above `threshold`, else 0.

    Pixels whose highest score is within `band` of the threshold, or where two maps above it are within `band`
    of each other, become 255. band 0 ignores nothing; with K = 0 everything is background.
    """
    if len(scores) == 0:
        return np.zeros(scores.shape[1:], np.uint8)
    best = scores.max(0)
    mask = np.where(best > threshold, scores.argmax(0) + 1, 0).astype(np.uint8)
    doubtful = np.abs(best - threshold) < band
    if len(scores) > 1:
        second = np.partition(scores, -2, axis=0)[-2]
        doubtful |= (second > threshold) & (best - second < band)
    mask[doubtful] = IGNORE
    return mask


def split_by_class(foreground: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Mask (H,W) uint8: each pixel of `foreground` (H,W) bool gets j + 1 of its highest map in scores (K,h,w)."""
    if len(scores) == 0:
        return np.zeros(foreground.shape, np.uint8)
    winner = resize(scores, foreground.shape).argmax(0) + 1
    return np.where(foreground, winner, 0).astype(np.uint8)


def ignore_disputed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mask `first` with 255 wherever `second` says otherwise; both (H,W) uint8."""
    return np.where(first == second, first, np.uint8(IGNORE))


def crop_center(image: np.ndarray, share: float) -> np.ndarray:
    """The centered square of image (H,W,3) whose side is `share` of the shorter side, at least one pixel."""
    height, width = image.shape[:2]
    side = max(1, round(share * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def warp_ids(ids: np.ndarray, size: int) -> np.ndarray:
    """Resize (H,W) ids to (size,size) with nearest neighbors."""
    return cv2.resize(ids, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


def warp(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (H,W,3) uint8 to (size,size,3), by area averaging when it shrinks, bilinear when it grows."""
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize_ids(ids: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Ids (h,w) on a grid of `shape` by nearest neighbor at pixel centers; ids may get lost where it shrinks."""
    rows, columns = (
        ((np.arange(size) + 0.5) * old / size).astype(np.int64) for size, old in zip(shape, ids.shape, strict=True)
    )
    return ids[rows[:, None], columns]
