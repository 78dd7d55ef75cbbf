"""The names of a weight file's classes, where the file holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from weakseg.networks.loading import checkpoints

KEYS = ("classes", "class_names", "class_to_idx")  # under which training scripts keep them


def find(path: Path) -> list[str] | None:
    """Class names in the order of the head, or None.

    They are looked for in this project's header, then under KEYS in safetensors metadata (as JSON) or at the top of a
    torch file; a list of distinct names counts, and a mapping of names to 0, 1, ... does. UserError: unreadable.
    """
    return next((names for value in list_values(path) if (names := well_formed(value))), None)


def list_values(path: Path) -> list[Any]:
    """What a file holds under KEYS, whatever it is."""
    if path.suffix != ".safetensors":
        content = checkpoints.open_file(path)
        return [content.get(key) for key in KEYS] if isinstance(content, Mapping) else []
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    return [checkpoints.read_header(path).get("classes"), *(parse(metadata.get(key)) for key in KEYS)]


def parse(text: str | None) -> Any:
    """A JSON value, None where the text is none."""
    try:
        return json.loads(text or "null")
    except json.JSONDecodeError:
        return None


def well_formed(value: Any) -> list[str] | None:
    """A list of distinct, filled names from a list of them or from a mapping of names to positions; else None."""
    if isinstance(value, Mapping):
        places = list(value.values())
        if not all(type(place) is int for place in places) or sorted(places) != list(range(len(places))):
            return None
        value = sorted(value, key=value.__getitem__)
    if not isinstance(value, list | tuple) or not value:
        return None
    filled = all(isinstance(name, str) and name.strip() for name in value)
    return list(value) if filled and len(set(value)) == len(value) else None
