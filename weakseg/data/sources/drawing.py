"""Drawn animals: all kinds share body, legs and tail, and differ only in the mark on a small head.

A small model of what makes weak supervision hard: the label is told by the head alone, the body is told from the
background by color and fur within one image, and neither the color of the body nor that of the background tells the
kind. Distractors carry the marks' colors on other shapes, and a decoy, a smooth disk without fur, carries a whole
mark, so that a network has to see fur to tell which mark counts. Everything comes from the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

PALE = np.array((0.95, 0.95, 0.85))  # RGB in [0, 1]; the other color of every mark
CONTRAST = 0.5  # least RGB distance between the body and the background's mean color
FUR = 0.28  # standard deviation of the fur's texture; the background's is 0.03 at that scale
DECOYS = 1  # heads without an animal in an image
UNITS = 96  # lengths of the animal are given for an image of this many pixels

Field = np.ndarray  # (S,S) float


def banded(u: Field, v: Field) -> Field:
    """Bars across the head."""
    return np.sin(6.0 * v)


def ringed(u: Field, v: Field) -> Field:
    """A ring around a bull's eye."""
    return np.cos(7.5 * np.hypot(u, v))


def halved(u: Field, v: Field) -> Field:
    """A dark brow over a pale muzzle."""
    return -8.0 * v


KINDS: dict[str, tuple[tuple[float, float, float], Callable[[Field, Field], Field]]] = {
    "blue ringed": ((0.13, 0.13, 0.85), ringed),
    "cyan banded": ((0.13, 0.85, 0.85), banded),
    "green halved": ((0.13, 0.85, 0.13), halved),
    "magenta halved": ((0.85, 0.13, 0.85), halved),
    "red banded": ((0.85, 0.13, 0.13), banded),
    "yellow ringed": ((0.85, 0.85, 0.13), ringed),
}
COLORS = np.array([color for color, _ in KINDS.values()])


@dataclass(frozen=True)
class Drawing:
    """image (S,S,3) uint8 RGB, animal (S,S) bool, head (S,S) bool (a part of the animal)."""

    image: np.ndarray
    animal: np.ndarray
    head: np.ndarray


def noise(size: int, cells: int, generator: np.random.Generator) -> Field:
    """Smooth noise (S,S) of zero mean and unit deviation, with about `cells` bumps a side."""
    values = cv2.resize(generator.standard_normal((cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC)
    return (values - values.mean()) / values.std()


def cover(signed: Field) -> Field:
    """Share of each pixel inside a shape, in [0, 1], from its signed distance in pixels (negative inside)."""
    return np.clip(0.5 - signed, 0, 1)


def capsule(x: Field, y: Field, start: np.ndarray, end: np.ndarray, radius: float) -> Field:
    """Signed distance to a thick segment."""
    along = end - start
    place = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
    return np.hypot(x - start[0] - place * along[0], y - start[1] - place * along[1]) - radius


def ellipse(x: Field, y: Field, width: float, height: float) -> Field:
    """Approximate signed distance to an ellipse of these half axes around the origin."""
    return (np.hypot(x / width, y / height) - 1) * min(width, height)


def paint(image: np.ndarray, share: Field, color: np.ndarray) -> None:
    """Blend a color, (3,) or (S,S,3), over the image in place."""
    image += share[..., None] * (color - image)


def random_color(generator: np.random.Generator) -> np.ndarray:
    """A color of any hue, neither black nor white."""
    return generator.uniform(0.15, 0.85, 3)


def background(size: int, generator: np.random.Generator) -> np.ndarray:
    """Texture (S,S,3) of two colors in large and middle-sized patches."""
    first, second = random_color(generator), random_color(generator)
    field = 0.8 * noise(size, 5, generator) + 0.5 * noise(size, 14, generator)
    mix = 1 / (1 + np.exp(-2 * field))[..., None]
    return first + 0.6 * mix * (second - first) + 0.03 * noise(size, size // 2, generator)[..., None]


def distract(image: np.ndarray, generator: np.random.Generator) -> None:
    """Paint spots and boxes, almost half of them in the marks' colors, over the background in place."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(float)
    for _ in range(generator.integers(4, 8)):
        center, angle = generator.uniform(0, size, 2), generator.uniform(0, np.pi)
        long, short = generator.uniform(0.04, 0.11, 2) * size
        u = (x - center[0]) * np.cos(angle) + (y - center[1]) * np.sin(angle)
        v = (y - center[1]) * np.cos(angle) - (x - center[0]) * np.sin(angle)
        box = np.maximum(abs(u) - long, abs(v) - short)
        shape = box if generator.random() < 0.5 else ellipse(u, v, long, short)
        colors = np.stack([random_color(generator), PALE, generator.choice(COLORS)])
        paint(image, cover(shape), generator.choice(colors, p=(0.4, 0.2, 0.4)) + generator.normal(0, 0.05, 3))


def mark(
    image: np.ndarray, cells: tuple[Field, Field], radius: float, kind: str, generator: np.random.Generator
) -> None:
    """Paint the mark of a kind in place: a patterned disk of `radius` pixels around the origin of `cells`, x and y."""
    (x, y), (color, pattern) = cells, KINDS[kind]
    strength = 1 / (1 + np.exp(-4 * pattern(x / radius, y / radius)))[..., None]
    dark = np.array(color) + generator.normal(0, 0.06, 3)
    paint(image, cover(np.hypot(x, y) - radius), PALE + strength * (dark - PALE))


def decoy(image: np.ndarray, generator: np.random.Generator) -> None:
    """Paint a smooth disk with the mark of any kind over the background in place."""
    size = len(image)
    center, radius = generator.uniform(0.08, 0.92, 2) * size, generator.uniform(8, 14) * size / UNITS
    y, x = np.mgrid[:size, :size].astype(float)
    paint(image, cover(np.hypot(x - center[0], y - center[1]) - radius), random_color(generator))
    mark(image, (x - center[0], y - center[1]), 0.7 * radius, str(generator.choice(sorted(KINDS))), generator)


def body_color(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A color that stands off the background's mean by CONTRAST or more."""
    mean = image.mean((0, 1))
    while np.linalg.norm((color := random_color(generator)) - mean) < CONTRAST:
        pass
    return color


def body(x: Field, y: Field, neck: np.ndarray, generator: np.random.Generator) -> Field:
    """Signed distance to trunk, neck, tail and four legs around the origin, in units of 1/96 of the image."""
    width, height = generator.uniform(18, 22), generator.uniform(8.5, 11)
    shapes = [ellipse(x, y, width, height), capsule(x, y, np.array((0.6 * width, -2.0)), neck, 4.5)]
    swing, length = generator.uniform(-0.5, 0.5, 4), generator.uniform(11, 15)
    for place, angle in zip((-0.75, -0.5, 0.45, 0.7), swing, strict=True):
        hip = np.array((place * width, 0.4 * height))
        shapes.append(capsule(x, y, hip, hip + length * np.array((np.sin(angle), np.cos(angle))), 2.2))
    root, lift = np.array((-0.9 * width, -1.0)), generator.uniform(-1.2, 0.6)
    shapes.append(capsule(x, y, root, root + 12 * np.array((-np.cos(lift), np.sin(lift))), 1.7))
    return np.minimum.reduce(shapes)


def placed(size: int, generator: np.random.Generator) -> tuple[Field, Field, float]:
    """Coordinates x, y (S,S) of an animal at a random place, size, tilt and facing, and the pixels of its unit."""
    unit = generator.uniform(0.95, 1.4) * size / UNITS
    tilt, facing = generator.uniform(-0.3, 0.3), generator.choice((-1.0, 1.0))
    room = np.maximum(size / 2 - unit * np.array((34, 28)), 0.04 * size)
    center = size / 2 + generator.uniform(-1, 1, 2) * room
    rows, columns = np.mgrid[:size, :size].astype(float)
    x, y = (columns - center[0]) / unit * facing, (rows - center[1]) / unit
    return x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt), unit


def draw(kind: str, size: int, generator: np.random.Generator) -> Drawing:
    """One animal of a kind in any pose on a textured background with distractors; `size` in pixels."""
    image = background(size, generator)
    distract(image, generator)
    for _ in range(DECOYS):
        decoy(image, generator)
    x, y, unit = placed(size, generator)
    skull, radius = np.array((generator.uniform(17, 22), generator.uniform(-13, -6))), generator.uniform(8.5, 10)
    texture = FUR * noise(size, size // 3, generator) - 0.006 * y
    head = cover(unit * (np.hypot(x - skull[0], y - skull[1]) - radius))
    animal = np.maximum(head, cover(unit * body(x, y, skull, generator)))
    paint(image, animal, body_color(image, generator) + texture[..., None])
    mark(image, (unit * (x - skull[0]), unit * (y - skull[1])), 0.75 * unit * radius, kind, generator)
    image += 0.02 * generator.standard_normal((size, size, 1))
    return Drawing((np.clip(image, 0, 1) * 255).round().astype(np.uint8), animal > 0.5, head > 0.5)
