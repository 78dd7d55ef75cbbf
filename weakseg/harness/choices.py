"""Choices by file name: `generate_cams.method: layercam` means the file layercam.py in the folder of methods."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from weakseg.errors import UserError

PACKAGE = Path(__file__).parent.parent
FOLDERS = {
    "backbones": "networks/backbones",
    "methods": "cams/methods",
    "datasets": "data/datasets",
    "refiners": "masks/refiners",
    "segmenters": "networks/segmenters",
    "thresholds": "masks/thresholds",
}


def names(folder: str) -> list[str]:
    """Sorted names of the choices of a folder, one per file."""
    return sorted(path.stem for path in (PACKAGE / FOLDERS[folder]).glob("*.py") if path.stem != "__init__")


def load(folder: str, name: str) -> ModuleType:
    """Import a choice; UserError lists those there are when there is no such file."""
    if name not in names(folder):
        raise UserError(f"unknown choice '{name}' for {folder}: choose one of {', '.join(names(folder))}")
    return importlib.import_module(f"weakseg.{FOLDERS[folder].replace('/', '.')}.{name}")
