"""labels.csv: the split, the labels and the size of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from weakseg.artifacts.formats.tables import load_table
from weakseg.errors import UserError
from weakseg.harness.files import save_csv

Target = Literal["single", "multi"]  # of an image: one label, or any number of them
UNLABELED = "unlabeled"  # the split of images that nobody labeled: they are predicted, never trained on or scored
LABELED = ("train", "val", "test")
SPLITS = (*LABELED, UNLABELED)
LABEL_COLUMNS = ["image_id", "split", "labels", "width", "height"]


def load_labels(path: Path) -> pd.DataFrame:
    """Read labels.csv: index image_id (sorted), columns split, labels (tuple of str), width, height.

    No labels: in split unlabeled nobody knows them, elsewhere the image shows none of the classes.
    """
    frame = load_table(path, LABEL_COLUMNS).set_index("image_id").sort_index()
    if not frame.index.is_unique:
        raise UserError(f"{path}: image '{frame.index[frame.index.duplicated()][0]}' is listed twice: keep one line")
    unknown = sorted(set(frame["split"]) - set(SPLITS))
    if unknown:
        raise UserError(f"{path}: split '{unknown[0]}' is unknown: use {', '.join(SPLITS)}")
    # One tuple for all images of the same labels: a million of them would be the largest part of the table.
    known = {value: tuple(filter(None, value.split("|"))) for value in frame["labels"].unique()}
    frame["labels"] = [known[value] for value in frame["labels"]]
    return frame.astype({"width": int, "height": int})


def save_labels(path: Path, frame: pd.DataFrame) -> None:
    """Write labels.csv from the form `load_labels` gives."""
    table = frame.sort_index().rename_axis("image_id").reset_index()
    save_csv(path, table.assign(labels=["|".join(labels) for labels in table["labels"]])[LABEL_COLUMNS])


def class_names(frame: pd.DataFrame) -> list[str]:
    """Sorted distinct labels; a class's index is its place in this list."""
    return sorted({label for labels in frame["labels"] for label in labels})


def check_background(background: Sequence[str], classes: Sequence[str]) -> frozenset[str]:
    """The classes declared to be background; UserError where one does not exist, or no class is left beside them."""
    strange = [name for name in background if name not in classes]
    if strange:
        raise UserError(f"background_classes names '{strange[0]}': the classes are {', '.join(classes)}")
    if set(background) >= set(classes):
        raise UserError("background_classes names every class: leave one that has something to segment")
    return frozenset(background)
