"""The disk that kept features may take: a bound, and the order in which they go."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness import resume

GIGABYTE = 1 << 30
SHARE = 0.5  # of the disk's free space that features may take where WEAKSEG_FEATURES_GB does not say


def home() -> Path:
    """The folder that holds all features that are kept."""
    return resume.root() / "features"


def make_room(needed: int, name: str) -> bool:
    """Whether features called `name` may take so many bytes; those used longest ago make room. If not, it says so."""
    allowed = find_bound()
    if needed > allowed:
        text = f"features would take {needed / GIGABYTE:.2f} GB, and may take {allowed / GIGABYTE:.2f}"
        print(f"{text} (WEAKSEG_FEATURES_GB): maps and distillation run the network again", file=sys.stderr)
        return False
    others = [path for path in list_folders() if path.name != name]
    while others and needed + sum(map(count_bytes, others)) > allowed:
        shutil.rmtree(others.pop(0))
    return True


def find_bound() -> float:
    """Bytes that features may take: `WEAKSEG_FEATURES_GB`, else half of what is free, or would be without them.

    UserError where it is no number.
    """
    given = os.environ.get("WEAKSEG_FEATURES_GB")
    if given:
        try:
            return float(given) * GIGABYTE
        except ValueError:
            raise UserError(f"WEAKSEG_FEATURES_GB is '{given}': set it to a number of gigabytes, 0 for none") from None
    home().mkdir(parents=True, exist_ok=True)
    return SHARE * (shutil.disk_usage(home()).free + sum(map(count_bytes, list_folders())))


def list_folders() -> list[Path]:
    """Folders of features, those used longest ago first."""
    return sorted(home().glob("*"), key=lambda path: path.stat().st_mtime)


def count_bytes(folder: Path) -> int:
    """Bytes in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir())
