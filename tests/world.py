"""One toy world for all tests: a bright square whose color is its class, on dark noise, and every artifact of it.

A `World` is a few numbers; its `write` puts those artifacts into a folder that a test asks for.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts import activations, truth
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import IGNORE, MaskWriter
from weakseg.harness import files

CLASSES = ["green", "red"]
COLORS = ((40, 220, 40), (220, 40, 40))
CELL = 4  # pixels; squares, maps and superpixels lie on this grid
SIDE = 16  # pixels of a square
RING = 2  # pixels around a square that true masks ignore


@dataclass(frozen=True)
class World:
    """Images of both classes in turn, named by letters, the splits one after the other.

    missed: images whose activation map is high everywhere but on the square; mistaken: images whose prediction and
    map are those of the other class; whole: maps find the whole square, else its upper half; folder: before every name.
    """

    train: int = 3
    val: int = 1
    test: int = 2
    without_mask: Collection[str] = ()
    missed: Collection[str] = ()
    mistaken: Collection[str] = ()
    whole: bool = False
    folder: str = ""
    height: int = 32
    width: int = 40

    @cached_property
    def splits(self) -> dict[str, str]:
        """Split of every image, by its name."""
        order = ["train"] * self.train + ["val"] * self.val + ["test"] * self.test
        return {f"{self.folder}{letter}": split for letter, split in zip(string.ascii_lowercase, order, strict=False)}

    @property
    def names(self) -> list[str]:
        """All images."""
        return list(self.splits)

    def split(self, name: str) -> list[str]:
        """The images of one split."""
        return [image for image, split in self.splits.items() if split == name]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every image."""
        return self.height, self.width

    def class_of(self, name: str) -> int:
        """1 (red) for every second image, else 0 (green)."""
        return self.names.index(name) % len(CLASSES)

    def guess(self, name: str) -> int:
        """The class that was predicted."""
        return 1 - self.class_of(name) if name in self.mistaken else self.class_of(name)

    def box(self, name: str) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of an image's square."""
        number = self.names.index(name)
        x, y = 8 + CELL * (number % 4), 4 + CELL * (number % 3)
        return x, y, x + SIDE, y + SIDE

    def square(self, name: str, margin: int = 0, height: int = SIDE) -> np.ndarray:
        """(H, W) bool: the square, `margin` pixels wider on each side, or its uppermost `height` rows."""
        x0, y0, x1, _ = self.box(name)
        found = np.zeros(self.shape, bool)
        found[y0 - margin : y0 + height + margin, x0 - margin : x1 + margin] = True
        return found

    def image(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8."""
        noise = np.random.default_rng(self.names.index(name))
        pixels = noise.integers(0, 30, (*self.shape, 3), dtype=np.uint8)
        pixels[self.square(name)] = COLORS[self.class_of(name)]
        return pixels

    def mask(self, name: str, ring: int = RING) -> np.ndarray:
        """(H, W) uint8: the square with its class id, inside a ring that is ignored."""
        ids = np.where(self.square(name, ring), IGNORE, 0).astype(np.uint8)
        ids[self.square(name)] = self.class_of(name) + 1
        return ids

    def segments(self) -> np.ndarray:
        """(H, W) superpixels that are the cells."""
        rows, columns = np.indices(self.shape) // CELL
        return rows * (self.width // CELL) + columns

    def entry(self, name: str, low: float, high: float) -> activations.CamEntry:
        """An image's map (1, H/4, W/4), `high` where it finds the square."""
        found = self.square(name, height=SIDE if self.whole else SIDE // 2)[::CELL, ::CELL] != (name in self.missed)
        scores = np.where(found, high, low).astype(np.float32)[None]
        return activations.CamEntry(scores, np.array([self.guess(name)]), scores[0], scores)

    def write(self, folder: Path, *kinds: str) -> dict[str, Path]:
        """Write artifacts into a folder; their paths by kind, which is the flag they go to."""
        paths = {kind: folder / f"{kind}{WRITERS[kind][0]}" for kind in kinds}
        for kind, path in paths.items():
            WRITERS[kind][1](self, path)
        return paths


def write_images(world: World, path: Path) -> None:
    with zips.ArchiveWriter(path) as writer:
        for name in world.names:
            writer.add_bytes(f"{name}.png", zips.png_bytes(world.image(name)))


def write_labels(world: World, path: Path) -> None:
    rows = [
        (name, split, (CLASSES[world.class_of(name)],), world.width, world.height)
        for name, split in world.splits.items()
    ]
    labels.save_labels(path, pd.DataFrame(rows, columns=labels.LABEL_COLUMNS).set_index("image_id"))


def write_true_masks(world: World, path: Path) -> None:
    save_masks(path, {name: world.mask(name) for name in world.names if name not in world.without_mask})


def write_boxes(world: World, path: Path) -> None:
    rows = [(name, *world.box(name)) for name in world.names]
    truth.save_boxes(path, pd.DataFrame(rows, columns=truth.BOX_COLUMNS))


def write_parts(world: World, path: Path) -> None:
    """Head boxes, the uppermost quarter of the square, of the first training and the first test image."""
    boxes = {world.split(split)[0]: world.box(world.split(split)[0]) for split in ("train", "test")}
    rows = [(name, x0, y0, x1, y0 + SIDE // 4) for name, (x0, y0, x1, _) in boxes.items()]
    truth.save_boxes(path, pd.DataFrame(rows, columns=truth.BOX_COLUMNS))


def write_superpixels(world: World, path: Path) -> None:
    save_segments(path, dict.fromkeys(world.names, world.segments()))


def write_cams(world: World, path: Path) -> None:
    save_cams(path, {name: world.entry(name, 1.0, 3.0) for name in world.names})


def write_distilled(world: World, path: Path) -> None:
    save_cams(path, {name: world.entry(name, -4.0, 4.0) for name in world.names})


def write_refined(world: World, path: Path) -> None:
    save_masks(path, {name: world.mask(name, ring=0) for name in world.names})


def write_pseudomasks(world: World, path: Path) -> None:
    save_masks(path, {name: world.mask(name) for name in world.names})


def write_predictions(world: World, path: Path) -> None:
    """As train_classifier writes them; every guess is made with probability 0.9."""
    rows = []
    for name, split in world.splits.items():
        red = 0.9 if world.guess(name) else 0.1
        row = {"image_id": name, "split": split, "predicted": CLASSES[world.guess(name)], "probability": 0.9}
        rows.append(row | {"p_green": 1 - red, "p_red": red})
    files.save_csv(path, rows)


def save_masks(path: Path, masks: dict[str, np.ndarray]) -> Path:
    """Write masks by name."""
    with MaskWriter(path) as writer:
        for name, mask in masks.items():
            writer.add(name, mask)
    return path


def save_segments(path: Path, segments: dict[str, np.ndarray]) -> Path:
    """Write superpixels by name."""
    with zips.SegmentsWriter(path) as writer:
        for name, ids in segments.items():
            writer.add(name, ids)
    return path


def save_cams(path: Path, entries: dict[str, activations.CamEntry]) -> Path:
    """Write activation values by name."""
    with activations.CamsWriter(path) as writer:
        for name, entry in entries.items():
            writer.add(name, entry)
    return path


WRITERS: dict[str, tuple[str, Callable[[World, Path], None]]] = {
    "images": ("", write_images),
    "labels": (".csv", write_labels),
    "masks": ("", write_true_masks),
    "boxes": (".csv", write_boxes),
    "parts": (".csv", write_parts),
    "superpixels": ("", write_superpixels),
    "cams": ("", write_cams),
    "distilled": ("", write_distilled),
    "refined": ("", write_refined),
    "pseudomasks": ("", write_pseudomasks),
    "predictions": (".csv", write_predictions),
}
