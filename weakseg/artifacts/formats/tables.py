"""Tables that stages pass on, as text, and tables of scores, `name,value` a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from weakseg.errors import UserError
from weakseg.harness.files import existing


def load_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV file as text; UserError when it is absent, broken, or lacks a column."""
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
