"""Tables that stages pass on: labels of the images, and what reads any of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from weakseg.errors import UserError
from weakseg.harness.files import existing, save_csv

Target = Literal["single", "multi"]  # of an image: one label, or any number of them
SPLITS = ("train", "val", "test")
LABEL_COLUMNS = ["image_id", "split", "labels", "width", "height"]


def load_labels(path: Path) -> pd.DataFrame:
    """Read labels.csv: index image_id (sorted), columns split, labels (tuple of str), width, height."""
    frame = _load_table(path, LABEL_COLUMNS).set_index("image_id").sort_index()
    if not frame.index.is_unique:
        raise UserError(f"{path}: image '{frame.index[frame.index.duplicated()][0]}' is listed twice: keep one line")
    unknown = sorted(set(frame["split"]) - set(SPLITS))
    if unknown:
        raise UserError(f"{path}: split '{unknown[0]}' is unknown: use {', '.join(SPLITS)}")
    frame["labels"] = [tuple(filter(None, value.split("|"))) for value in frame["labels"]]
    return frame.astype({"width": int, "height": int})


def save_labels(path: Path, frame: pd.DataFrame) -> None:
    """Write labels.csv from the form `load_labels` gives."""
    table = frame.sort_index().rename_axis("image_id").reset_index()
    save_csv(path, table.assign(labels=["|".join(labels) for labels in table["labels"]])[LABEL_COLUMNS])


def class_names(frame: pd.DataFrame) -> list[str]:
    """Sorted distinct labels; a class's index is its place in this list."""
    return sorted({label for labels in frame["labels"] for label in labels})


def _load_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(existing(path), dtype={"image_id": str, "labels": str}, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}): rerun the stage that writes it") from None
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}: rerun the stage that writes it")
    return frame


def load_scores(path: Path) -> dict[str, Any]:
    """Read a table of scores, `name,value` a row: whole numbers, other numbers, words, None where there is no value."""
    frame = pd.read_csv(existing(path), dtype=str, keep_default_na=False)
    return {name: parse_score(text) for name, text in zip(frame["name"], frame["value"], strict=True)}


def parse_score(text: str) -> Any:
    """A whole number, a number, None for nothing, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
