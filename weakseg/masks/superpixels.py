"""SLIC superpixels, their means and their neighbors.

SLIC Superpixels Compared to State-of-the-art Superpixel Methods (Achanta, Shaji, Smith, Lucchi, Fua, Süsstrunk, 2012).
Differs from the paper: large images are segmented at a bounded size, so that time and memory are bounded too.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import slic as skimage_slic

from weakseg.data import grids
from weakseg.data.grids import resize_ids


def consecutive(segments: np.ndarray) -> np.ndarray:
    """The same segments (H,W) with ids 0..S-1 without gaps, in the order of the old ids."""
    return np.unique(segments, return_inverse=True)[1].reshape(segments.shape)


def slic(image: np.ndarray, *, count: int, compactness: float, longest: int) -> np.ndarray:
    """About `count` connected superpixels of an RGB image (H,W,3) uint8, as (H,W) uint16 ids without gaps.

    RGB is converted to Lab inside. An image whose longer side exceeds `longest` pixels is segmented at that size and
    the ids are enlarged with nearest neighbors. A one-color or one-pixel image is legal.
    """
    shape = grids.bound(image.shape[:2], longest)
    small = grids.resize_image(image, shape)
    segments = skimage_slic(small, n_segments=count, compactness=compactness, start_label=0, channel_axis=-1)
    return resize_ids(consecutive(segments), image.shape[:2]).astype(np.uint16)


def sizes(segments: np.ndarray) -> np.ndarray:
    """Pixels of each segment, (S,) with S = highest id + 1."""
    return np.bincount(segments.ravel())


def means(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Mean of values (K,H,W) in each segment (H,W): (S,K) float32; an id that does not occur has mean 0."""
    flat = segments.ravel()
    count = np.maximum(np.bincount(flat), 1)
    sums = [np.bincount(flat, weights=plane.ravel(), minlength=len(count)) for plane in values]
    return (np.stack(sums, 1) / count[:, None] if sums else np.zeros((len(count), 0))).astype(np.float32)


def spread(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Paint values (S,K) onto segments (H,W): (K,H,W)."""
    return np.moveaxis(values[segments], -1, 0)


def centers(segments: np.ndarray) -> np.ndarray:
    """Center of each segment as (S,2) row and column, each in [0, 1] of the image's side."""
    height, width = segments.shape
    rows, columns = np.mgrid[0:height, 0:width]
    return means(np.stack([(rows + 0.5) / height, (columns + 0.5) / width]), segments)


def neighbors(segments: np.ndarray) -> np.ndarray:
    """Pairs (E,2) of ids i < j that touch along a pixel side, each once, sorted; one segment gives (0,2)."""
    across = np.stack([segments[:, :-1].ravel(), segments[:, 1:].ravel()], 1)
    down = np.stack([segments[:-1].ravel(), segments[1:].ravel()], 1)
    pairs = np.sort(np.concatenate([across, down]).astype(np.int64), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    width = int(segments.max()) + 1
    keys = np.unique(pairs[:, 0] * width + pairs[:, 1])
    return np.stack([keys // width, keys % width], 1)


def smoothed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Opening, then closing of a mask (H,W) bool with a square of 2 radius + 1 pixels; radius 0 changes nothing."""
    if radius == 0:
        return mask
    square = np.ones((2 * radius + 1,) * 2, bool)
    padded = np.pad(mask, radius, mode="edge")
    opened = ndimage.binary_dilation(ndimage.binary_erosion(padded, square, border_value=1), square)
    closed = ndimage.binary_erosion(ndimage.binary_dilation(opened, square), square, border_value=1)
    return closed[radius:-radius, radius:-radius]
