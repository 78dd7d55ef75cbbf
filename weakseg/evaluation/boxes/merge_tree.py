"""Connected components of a map above every height at once, from its merge tree.

Hamish Carr, Jack Snoeyink, Ulrike Axen, "Computing contour trees in all dimensions", 2003 (join tree).
Differs from the paper: pixels are first gathered into the basin of the peak they ascend to, so that the tree is
built over a few basins instead of all pixels and the rest is array arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FINE = 24  # bits of the heights that order pixels of equal rank
SHIFTS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}


@dataclass(frozen=True)
class Components:
    """Components of ranks > n for n = 0..N-1; entry [m, n] is the component whose highest peak is peak m.

    alive (M, N) bool: there is one; boxes (M, 4, N) int64 x0, y0, x1, y1 half-open; mass (M, N) int64 its samples.
    """

    alive: np.ndarray
    boxes: np.ndarray
    mass: np.ndarray


def neighbors(array: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two views (H - dy, W - |dx|) of array (H, W): each pixel, and the pixel at `shift` (dy, dx) from it."""
    dy, dx = shift
    height, width = array.shape
    here = array[: height - dy, max(-dx, 0) : width - max(dx, 0)]
    return here, array[dy:, max(dx, 0) : width - max(-dx, 0)]


def find_basins(ranks: np.ndarray, heights: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Basin of each pixel (H, W) and the peak pixel (M,) of each basin.

    Pixels ascend by rank, then by height in [0, 1], which spares plateaus of equal rank, then to the lower index.
    """
    pixels = ranks.size
    bits = pixels.bit_length()
    key = ranks.astype(np.int64) << FINE | (heights * ((1 << FINE) - 1)).astype(np.int64)
    key = key << bits | (pixels - np.arange(pixels).reshape(ranks.shape))
    highest = key.copy()
    for shift in SHIFTS[connectivity]:
        (here, there), (low, high) = neighbors(key, shift), neighbors(highest, shift)
        np.maximum(low, there, out=low)
        np.maximum(high, here, out=high)
    target = (pixels - (highest & ((1 << bits) - 1))).ravel()
    peaks = np.flatnonzero(target == np.arange(pixels))
    while not np.array_equal(target, following := target[target]):
        target = following
    labels = np.empty(pixels, np.int32)
    labels[peaks] = np.arange(len(peaks))
    return labels[target].reshape(ranks.shape), peaks


def find_passes(ranks: np.ndarray, labels: np.ndarray, basins: int, connectivity: int) -> np.ndarray:
    """Passes (E, 3) height, basin, basin: the highest link of each two touching basins, from the top down."""
    found, top = [], int(ranks.max()) + 1
    for shift in SHIFTS[connectivity]:
        (one, other), sides = neighbors(labels, shift), neighbors(ranks, shift)
        apart = one != other
        low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        found.append((low * np.int64(basins) + high) * top + (top - 1 - np.minimum(*sides)[apart]))
    code = np.unique(np.concatenate(found))
    pair, depth = np.divmod(code, top)
    first = np.diff(pair, prepend=-1) > 0
    order = np.argsort(depth[first], kind="stable")
    low, high = np.divmod(pair[first][order], basins)
    return np.stack([top - 1 - depth[first][order], low, high], axis=1)


def find_merges(passes: np.ndarray, tops: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield (height, elder, younger) whenever two components join; the elder has the higher peak or lower index."""
    root, peak = list(range(len(tops))), tops.tolist()
    for height, one, other in passes.tolist():
        while root[one] != one:
            root[one] = one = root[root[one]]
        while root[other] != other:
            root[other] = other = root[root[other]]
        if one != other:
            elder, younger = (one, other) if (peak[one], -one) > (peak[other], -other) else (other, one)
            root[younger] = elder
            yield height, elder, younger


def extents(ranks: np.ndarray, labels: np.ndarray, basins: int, columns: int) -> np.ndarray:
    """x0, y0, -x1, -y1 (M, 4, columns - 1) of the part of each basin with ranks > n, H + W where there is none."""
    height, width = ranks.shape
    table = np.full((4, basins * columns), height + width, np.int32)
    place = labels * columns + np.minimum(ranks, columns - 1)
    by_row, by_column = place.ravel(), place.T.ravel()
    down = np.repeat(np.arange(height, dtype=np.int32), width)
    right = np.repeat(np.arange(width, dtype=np.int32), height)
    table[0, by_column[::-1]] = right[::-1]
    table[1, by_row[::-1]] = down[::-1]
    table[2, by_column] = -right - 1
    table[3, by_row] = -down - 1
    return cumulative(table.reshape(4, basins, columns), np.minimum).transpose(1, 0, 2).copy()


def cumulative(table: np.ndarray, function: np.ufunc) -> np.ndarray:
    """table (..., N + 1) by rank accumulated from the top down: entry n (..., N) covers the ranks > n."""
    return function.accumulate(table[..., :0:-1], axis=-1)[..., ::-1]


def find_components(
    ranks: np.ndarray,
    heights: np.ndarray,
    cuts: int,
    connectivity: int,
    samples: tuple[np.ndarray, np.ndarray] | None = None,
) -> Components:
    """Components of ranks (H, W) >= 0 above n = 0..cuts-1, under 4 or 8 neighbors.

    heights (H, W) in [0, 1] never decrease with the ranks.
    samples: (pixel indices (S,), ranks (S,)); a component's mass counts the samples of its pixels whose rank is > n.
    """
    labels, peaks = find_basins(ranks, heights, connectivity)
    tops, shape = ranks.ravel()[peaks], (len(peaks), cuts + 1)
    boxes = extents(ranks, labels, *shape)
    counts: np.ndarray = np.zeros(shape, np.int64)
    if samples is not None:
        place = labels.ravel()[samples[0]] * shape[1] + np.minimum(samples[1], cuts)
        counts = np.bincount(place, minlength=counts.size).reshape(shape)
    mass = cumulative(counts, np.add).copy()
    alive = tops[:, None] > np.arange(cuts)
    for height, elder, younger in find_merges(find_passes(ranks, labels, len(peaks), connectivity), tops):
        np.minimum(boxes[elder, :, :height], boxes[younger, :, :height], out=boxes[elder, :, :height])
        mass[elder, :height] += mass[younger, :height]
        alive[younger, :height] = False
    boxes[:, 2:] *= -1
    return Components(alive, boxes, mass)
