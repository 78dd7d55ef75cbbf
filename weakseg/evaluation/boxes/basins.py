"""Basins of a map: the pixels that ascend to the same peak, and the passes over which basins touch.

merge_tree.py has a worked example.
"""

from __future__ import annotations

import numpy as np

FINE = 24  # bits of the heights that order pixels of equal rank
SHIFTS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}  # down and right, each link once


def view_neighbors(array: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two views (H - dy, W - |dx|) of array (H, W): each pixel, and the pixel at `shift` (dy, dx) from it."""
    dy, dx = shift
    height, width = array.shape
    here = array[: height - dy, max(-dx, 0) : width - max(dx, 0)]
    return here, array[dy:, max(dx, 0) : width - max(-dx, 0)]


def sort_keys(ranks: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Keys (H, W) int64, no two alike: by rank, then by height in [0, 1], then the lower index first."""
    # bits of a key, from the highest: rank | height, 24 bits | pixels - index, which also tells the pixel
    pixels = ranks.size
    key = ranks.astype(np.int64) << FINE | (heights * ((1 << FINE) - 1)).astype(np.int64)
    return key << pixels.bit_length() | (pixels - np.arange(pixels).reshape(ranks.shape))


def find_basins(ranks: np.ndarray, heights: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Basin of each pixel (H, W) and the peak pixel (M,) of each basin.

    Pixels ascend by rank, then by height in [0, 1], which spares plateaus of equal rank, then to the lower index.
    """
    pixels, key = ranks.size, sort_keys(ranks, heights)
    # the highest key among each pixel and its neighbors, both ways along each shift
    highest = key.copy()
    for shift in SHIFTS[connectivity]:
        (here, there), (low, high) = view_neighbors(key, shift), view_neighbors(highest, shift)
        np.maximum(low, there, out=low)
        np.maximum(high, here, out=high)
    # the last bits of that key name the pixel one step up; a peak names itself
    target = (pixels - (highest & ((1 << pixels.bit_length()) - 1))).ravel()  # (H W,)
    peaks = np.flatnonzero(target == np.arange(pixels))
    # take two steps for one until all stand on peaks
    while not np.array_equal(target, following := target[target]):
        target = following
    labels = np.empty(pixels, np.int32)
    labels[peaks] = np.arange(len(peaks))
    return labels[target].reshape(ranks.shape), peaks


def find_passes(ranks: np.ndarray, labels: np.ndarray, basins: int, connectivity: int) -> np.ndarray:
    """Passes (E, 3) height, basin, basin: the highest link of each two touching basins, from the top down."""
    # each link between two basins as one number: their pair, then its depth below the top
    codes, top = [], int(ranks.max()) + 1
    for shift in SHIFTS[connectivity]:
        (one, other), sides = view_neighbors(labels, shift), view_neighbors(ranks, shift)
        apart = one != other
        low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        codes.append((low * np.int64(basins) + high) * top + (top - 1 - np.minimum(*sides)[apart]))
    # sorted, the first of each pair is its highest link
    pair, depth = np.divmod(np.unique(np.concatenate(codes)), top)
    first = np.diff(pair, prepend=-1) > 0
    order = np.argsort(depth[first], kind="stable")
    low, high = np.divmod(pair[first][order], basins)
    return np.stack([top - 1 - depth[first][order], low, high], axis=1)  # (E, 3)
