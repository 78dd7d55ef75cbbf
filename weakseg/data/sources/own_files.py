"""Names and tables of a user's own files: one spelling of a name, ids of images, rows of a CSV file."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from weakseg.data.sources.archives import Spool
from weakseg.errors import UserError


def composed(path: str) -> str:
    """A path in Unicode's composed form with / between its parts: tables and file systems spell both in two ways."""
    return unicodedata.normalize("NFC", path.replace("\\", "/"))


def check_names(names: Iterable[str], where: Path) -> None:
    """UserError for a name with control characters, or with bytes that are no text."""
    for name in names:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise UserError(f"{where}: the name {name!r} holds characters that no table can: rename the file")


def id_of(path: str) -> str:
    """Image id of a path below images/ or masks/."""
    return PurePosixPath(composed(path)).with_suffix("").as_posix().replace("/", "_")


def rows_of(files: Spool, name: str, columns: set[str]) -> list[dict[str, str]]:
    """Rows of a table of the source; UserError when it is no UTF-8 CSV with these columns."""
    try:
        table = csv.DictReader(io.StringIO(files.read(name).decode("utf-8-sig")))
        rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name} cannot be read ({error}): save it as CSV in UTF-8") from None
    missing = sorted(columns - set(table.fieldnames or []))
    if missing:
        raise UserError(f"{name} lacks the column '{missing[0]}': its columns must be {', '.join(sorted(columns))}")
    return rows
