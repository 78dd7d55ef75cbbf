"""params.yaml as tests change it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dvc.utils.hydra import apply_overrides

from tests.closure import ROOT
from weakseg.harness import params


@cache
def _read() -> dict[str, Any]:
    return params.read(ROOT / "params.yaml")


class Exactly(dict):
    """A mapping that takes the place of another one instead of lying over it."""


def entries(*names: str) -> Exactly:
    """These entries of `networks` alone; a name that params.yaml lacks is the small variant of its backbone."""
    small = {"variant": "small", "weights": "random", "train": {}, "cams": {}, "distill": {}}
    known = _read()["networks"]
    return Exactly({name: copy.deepcopy(known.get(name, {"backbone": name} | small)) for name in names})


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml with changes, nested ones in its nested mappings."""
    whole = copy.deepcopy(_read())
    lay_over(whole, changes)
    return whole


def lay_over(whole: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put changes into a mapping, nested ones into its nested mappings."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(whole.get(key), dict) and not isinstance(value, Exactly):
            lay_over(whole[key], value)
        else:
            whole[key] = dict(value) if isinstance(value, Exactly) else value


def apply_presets(path: Path, *names: str) -> None:
    """Write the `-S` lines of presets into a params.yaml, as DVC does."""
    lines = [line for name in names for line in (ROOT / "presets" / name).read_text().splitlines()]
    assert all(line.startswith("-S ") for line in lines)
    apply_overrides(str(path), [line.removeprefix("-S ") for line in lines])
