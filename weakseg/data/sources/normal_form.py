"""The normal form of a dataset: which images, in which split, with which labels; its ground truth is elsewhere."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from weakseg.artifacts.formats import image_files, zips
from weakseg.artifacts.formats.labels import LABEL_COLUMNS, UNLABELED, save_labels
from weakseg.errors import UserError
from weakseg.harness.progress import track

Split = Literal["official", "random"]


@dataclass(frozen=True)
class Listed:
    """One image as its dataset lists it, before its bytes are read; `entry` names it in the raw archive."""

    image_id: str
    split: str
    labels: tuple[str, ...]
    entry: str


@dataclass(frozen=True)
class Selection:
    """Which images to keep and how to split them.

    images_per_class: of each split, 0 for all. test_share, val_share: shares of the training images of each
    label set, taken where the dataset names no test or validation split of its own. split: official, or random: as if
    it named none, another one for each split_seed.
    """

    images_per_class: int
    test_share: float
    val_share: float
    split: Split = "official"
    split_seed: int = 0

    def purpose(self, split: str) -> str:
        """What the choice of a split's images depends on beside their names: the seed, where they are random."""
        return split if self.split == "official" else f"{split} {self.split_seed}"


def check_listed(rows: list[Listed]) -> None:
    """UserError: nothing listed, an image twice, an unusable label."""
    if not rows:
        raise UserError("the dataset lists no images: check the source")
    entries: dict[str, str] = {}
    for row in rows:
        if row.image_id in entries:
            raise UserError(
                f"image '{row.image_id}' is listed twice ('{entries[row.image_id]}', '{row.entry}'): keep one"
            )
        if not all(label.strip() for label in row.labels):
            raise UserError(f"image '{row.image_id}' has an empty label: name it or remove it")
        if any("|" in label for label in row.labels):
            raise UserError(f"image '{row.image_id}': a label holds '|', which joins labels: rename it")
        entries[row.image_id] = row.entry


def check_labels(rows: list[Listed]) -> None:
    """UserError when a label has no training image, or no image a label."""
    trained = {label for row in rows if row.split == "train" for label in row.labels}
    orphans = sorted({label for row in rows for label in row.labels} - trained)
    if not trained and not orphans:
        raise UserError("no image has a label: give the training images theirs")
    if orphans:
        raise UserError(f"label '{orphans[0]}' has no training image: add images or remove the label")


def shuffled(rows: Iterable[Listed], purpose: str) -> list[Listed]:
    """Rows in an order that depends on their names and the purpose alone, not on a seed or on each other."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{purpose}:{row.image_id}".encode()).digest())


def pool(rows: list[Listed], split: Split) -> list[Listed]:
    """The rows; where the split is random all are training images at first, but those that nobody labeled."""
    if split == "official":
        return rows
    return [row if row.split == UNLABELED else replace(row, split="train") for row in rows]


def carve(rows: list[Listed], split: str, share: float, purpose: str) -> list[Listed]:
    """Move `share` of the training images of each label set to `split`; at least one where there are two or more.

    Which ones depends on their names and on `purpose`. Nothing moves where `split` has images already.
    """
    if share == 0 or any(row.split == split for row in rows):
        return rows
    groups = defaultdict(list)
    for row in rows:
        groups[row.split, row.labels].append(row)
    carved = []
    for (origin, _), group in groups.items():
        count = max(1, round(share * len(group))) if origin == "train" and len(group) > 1 else 0
        mixed = shuffled(group, purpose)
        carved += [replace(row, split=split) for row in mixed[:count]] + mixed[count:]
    return carved


def select(rows: list[Listed], selection: Selection) -> list[Listed]:
    """The images to prepare, sorted by name: limited, split and checked; see `Selection`."""
    check_listed(rows)
    groups = defaultdict(list)
    for row in shuffled(pool(rows, selection.split), "limit"):
        groups[row.split, row.labels].append(row)
    limit = selection.images_per_class or None
    kept = [row for group in groups.values() for row in group[:limit]]
    tested = carve(kept, "test", selection.test_share, selection.purpose("test"))
    kept = carve(tested, "val", selection.val_share, selection.purpose("val"))
    check_labels(kept)
    return sorted(kept, key=lambda row: row.image_id)


def write_images(rows: list[Listed], read: Callable[[str], bytes], images: Path, labels: Path) -> None:
    """Write the original bytes of every image, and the table of labels; UserError names an unreadable image.

    What is done to images of uncommon kinds whenever they are read is told once, on stderr.
    """
    table, noted = [], defaultdict[str, list[str]](list)
    with zips.ArchiveWriter(images) as writer:
        for row in track(rows, "images"):
            content = read(row.entry)
            picture = image_files.decode(content, row.image_id)
            height, width = picture.pixels.shape[:2]
            for note in picture.notes:
                noted[note].append(row.image_id)
            writer.add_bytes(row.image_id + PurePosixPath(row.entry).suffix.lower(), content)
            table.append((row.image_id, row.split, row.labels, width, height))
    save_labels(labels, pd.DataFrame(table, columns=LABEL_COLUMNS).set_index("image_id"))
    for note, names in noted.items():
        count = f"{len(names)} images, such as" if len(names) > 1 else "image"
        print(f"{note}: {count} '{names[0]}'", file=sys.stderr)
