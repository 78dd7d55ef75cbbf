"""Score maps on which regions nest, touch, tie and leave holes."""

from __future__ import annotations

import numpy as np


def rings(size: int, seed: int) -> np.ndarray:
    """Nested rings with holes and islands inside the holes, of falling brightness, some of equal brightness."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices((size, size))
    result = np.zeros((size, size))
    for _ in range(6):
        distance = np.hypot(rows - generator.integers(0, size), columns - generator.integers(0, size))
        for _ in range(2):
            radius, width = generator.integers(3, size // 2), generator.integers(1, 5)
            result[np.abs(distance - radius) <= width / 2] = generator.choice([0.3, 0.5, 0.8, 1.0])
    return result


def lines(size: int, seed: int) -> np.ndarray:
    """One-pixel lines and single pixels of a few brightnesses: contours of area 0, so that areas tie."""
    generator = np.random.default_rng(seed)
    result = np.zeros((size, size))
    for _ in range(12):
        x, y, length = generator.integers(0, size, 3)
        value = generator.choice([0.2, 0.6, 1.0])
        if generator.random() < 0.4:
            result[y, x : x + length] = value
        elif generator.random() < 0.6:
            result[y : y + length, x] = value
        else:
            result[y, x] = value
    return result


def special_maps() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    flat, square, ties = np.zeros((24, 24)), np.zeros((24, 24)), np.zeros((24, 24))
    square[5:15, 3:9] = 1
    ties[2:6, 2:6] = ties[2:6, 10:14] = ties[14:18, 2:6] = 1
    diamond = np.zeros((24, 24))
    diamond[[4, 5, 5, 6], [5, 4, 6, 5]] = 1
    diamond[5, 7:12] = 1
    frame = np.ones((24, 24))
    frame[1:-1, 1:-1] = 0
    return {
        "flat": flat,
        "ones": np.ones((24, 24)),
        "square": square,
        "ties": ties,
        "diamond with a hole and a tail": diamond,
        "frame": frame,
        "checkerboard": (np.indices((24, 24)).sum(axis=0) % 2).astype(float),
        "noise": generator.random((24, 24)),
        "coarse noise": generator.integers(0, 4, (24, 24)) / 3,
        "never one": 0.4 * generator.random((24, 24)),
        "wide": generator.random((8, 40)),
    }
