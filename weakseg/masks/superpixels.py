"""SLIC superpixels, their means and their neighbors.

SLIC Superpixels Compared to State-of-the-art Superpixel Methods (Achanta, Shaji, Smith, Lucchi, Fua, Süsstrunk, 2012).
Differs from the paper: large images are segmented at a bounded size, so that time and memory are bounded too.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import slic as skimage_slic

from weakseg.data import grids


def renumber(segments: np.ndarray) -> np.ndarray:
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
    return grids.resize_ids(renumber(segments), image.shape[:2]).astype(np.uint16)


def average(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Mean of values (K,H,W) in each segment (H,W): (S,K) float32; an id that does not occur has mean 0."""
    flat = segments.ravel()  # (H W,)
    count = np.maximum(np.bincount(flat), 1)  # (S,)
    sums = [np.bincount(flat, weights=plane.ravel(), minlength=len(count)) for plane in values]
    return (np.stack(sums, 1) / count[:, None] if sums else np.zeros((len(count), 0))).astype(np.float32)


def paint(values: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Values (S,K) of the segments on their pixels (H,W): (K,H,W)."""
    return np.moveaxis(values[segments], -1, 0)


def find_neighbors(segments: np.ndarray) -> np.ndarray:
    """Pairs (E,2) of ids i < j that touch along a pixel side, each once, sorted; one segment gives (0,2)."""
    across = np.stack([segments[:, :-1].ravel(), segments[:, 1:].ravel()], 1)  # (H (W - 1), 2)
    down = np.stack([segments[:-1].ravel(), segments[1:].ravel()], 1)  # ((H - 1) W, 2)
    pairs = np.sort(np.concatenate([across, down]).astype(np.int64), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    # One number i S + j a pair: its sorted uniques are the sorted unique pairs, far faster than np.unique over rows.
    width = int(segments.max()) + 1
    keys = np.unique(pairs[:, 0] * width + pairs[:, 1])
    return np.stack([keys // width, keys % width], 1)


def smooth(mask: np.ndarray, radius: int) -> np.ndarray:
    """Opening, then closing of a mask (H,W) bool with a square of 2 radius + 1 pixels; radius 0 changes nothing."""
    if radius == 0:
        return mask
    square = np.ones((2 * radius + 1,) * 2, bool)
    # A repeated border, and erosion that takes the outside for foreground: an object at the edge stays at the edge.
    padded = np.pad(mask, radius, mode="edge")  # (H + 2 radius, W + 2 radius)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(padded, square, border_value=1), square)
    closed = ndimage.binary_erosion(ndimage.binary_dilation(opened, square), square, border_value=1)
    return closed[radius:-radius, radius:-radius]
