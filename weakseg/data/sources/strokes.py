"""Drawn silhouettes: all kinds are made of the same straight strokes, and only how the whole is laid out tells which.

The counterpart of the drawn animals (drawing.py), whose kind is told by a mark on a small head: here no part tells the
kind. Ends, sides and inner corners are shared, size, turn, thickness, color and fur vary freely, and loose strokes of
other colors lie in the background. Everything comes from the generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weakseg.data.sources.drawing import (
    Field,
    background,
    body_color,
    capsule,
    cover,
    noise,
    paint,
    random_color,
)  # fmt: skip

Stroke = tuple[tuple[float, float], tuple[float, float]]  # its two ends, x and y in [-1, 1]

KINDS: dict[str, tuple[Stroke, ...]] = {
    "bar": (((-1, 0), (1, 0)),),
    "cross": (((-1, 0), (1, 0)), ((0, -1), (0, 1))),
    "ell": (((-0.8, -0.8), (-0.8, 0.8)), ((-0.8, 0.8), (0.8, 0.8))),
    "tee": (((-1, -0.7), (1, -0.7)), ((0, -0.7), (0, 1))),
    "zed": (((-1, -0.8), (0, -0.8)), ((0, -0.8), (0, 0.8)), ((0, 0.8), (1, 0.8))),
}
THICKNESS = (0.22, 0.4)  # radius of the strokes in units of the figure
FUR = 0.12  # standard deviation of the object's texture
TURN = 0.3  # radians to either side
SIDES = (0.45, 0.98)  # longer side of the object's box, as a share of the image's side
JITTER = 0.12  # every end of a figure is moved by up to this
LOOSE = (1, 4)  # strokes in the background, the first number and one more than the last


@dataclass(frozen=True)
class Silhouette:
    """image (S,S,3) uint8 RGB, mask (S,S) bool."""

    image: np.ndarray
    mask: np.ndarray


def lay_out(kind: str, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Ends (N,2,2) of a kind's strokes, jittered, mirrored and turned, and their radius, in units of the figure.

    Ends that strokes share stay together.
    """
    ends = np.array(KINDS[kind], float)  # (N,2,2)
    corners, place = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    corners = corners + generator.uniform(-JITTER, JITTER, corners.shape)
    corners[:, 0] *= generator.choice((-1.0, 1.0))
    angle = generator.uniform(-TURN, TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (corners @ turn.T)[place.ravel()].reshape(ends.shape), generator.uniform(*THICKNESS)


def fit_in(ends: np.ndarray, radius: float, size: int, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """The strokes in pixels: of a random size, at a random place where the whole object is inside the image."""
    points = ends.reshape(-1, 2)
    low, high = points.min(0) - radius, points.max(0) + radius
    unit = generator.uniform(*SIDES) * size / (high - low).max()
    room = size - unit * (high - low)  # (2,)
    return (ends - low) * unit + generator.uniform(0, 1, 2) * room, radius * unit


def scatter_strokes(image: np.ndarray, generator: np.random.Generator) -> None:
    """Paint loose strokes, each in a color of its own and without fur, over the background in place."""
    size = len(image)
    y, x = np.mgrid[:size, :size] + 0.5
    for _ in range(generator.integers(*LOOSE)):
        start, angle = generator.uniform(0, size, 2), generator.uniform(0, 2 * np.pi)
        along = np.array((np.cos(angle), np.sin(angle))) * generator.uniform(0.05, 0.2) * size
        share = cover(capsule(x, y, start, start + along, generator.uniform(0.015, 0.045) * size))
        paint(image, share, random_color(generator))


def draw(kind: str, size: int, generator: np.random.Generator) -> Silhouette:
    """One silhouette of a kind in any pose on a textured background; `size` in pixels."""
    image = background(size, generator)
    scatter_strokes(image, generator)
    ends, radius = fit_in(*lay_out(kind, generator), size, generator)
    y, x = np.mgrid[:size, :size] + 0.5
    signed: Field = np.minimum.reduce([capsule(x, y, start, end, radius) for start, end in ends])
    inside = cover(signed)
    fur = FUR * noise(size, size // 3, generator)
    paint(image, inside, body_color(image, generator) + fur[..., None])
    image += 0.02 * generator.standard_normal((size, size, 1))
    return Silhouette((np.clip(image, 0, 1) * 255).round().astype(np.uint8), inside > 0.5)
