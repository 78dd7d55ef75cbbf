"""What the stages left for the report: figures, tables and pictures by stage and item."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd
from PIL import Image

from weakseg.artifacts.formats import tables, zips
from weakseg.figures.words import Value
from weakseg.harness import files

Kind = TypeVar("Kind")
ByStage = dict[str, dict[str, Kind]]
SUFFIXES = (".csv", ".png")


@dataclass
class Material:
    """All of it by stage and item; the item is "" where a stage left only one.

    figures: all that is one number. tables: any other CSV file, curves among them. pictures: PNG bytes.
    """

    figures: ByStage[dict[str, Value]] = field(default_factory=dict)
    tables: ByStage[pd.DataFrame] = field(default_factory=dict)
    pictures: ByStage[bytes] = field(default_factory=dict)

    def stages(self) -> list[str]:
        """Every stage that left something, by name."""
        return sorted({*self.figures, *self.tables, *self.pictures})


@dataclass(frozen=True)
class Entry:
    """A file at <stage>.<suffix> or <stage>/<item>.<suffix>; an item may lie deeper and then holds slashes."""

    stage: str
    item: str
    path: Path

    @property
    def owner(self) -> str:
        """The first part of the item: a network's name, or any other."""
        return self.item.partition("/")[0]


def collect(networks: Collection[str], *, plots: Path, tables: Path, pictures: Path) -> Material:
    """Read the folders of a run, in the order of names.

    plots holds CSV, pictures PNG; tables CSV, where <stage>.csv and <stage>/<network>.csv list figures as
    `name,value`. What belongs to a network of an earlier run (`find_former`) is not read, nor a picture of one pixel:
    there was nothing to show. UserError: a folder does not exist.
    """
    listed = {folder: list_entries(folder) for folder in (plots, tables, pictures)}
    former = find_former((entry for entries in listed.values() for entry in entries), networks)
    material = Material()
    for folder, entries in listed.items():
        for entry in entries:
            if entry.owner not in former:
                is_list = folder == tables and (not entry.item or entry.item in networks)
                add(material, entry, is_list)
    return material


def list_entries(folder: Path) -> list[Entry]:
    """The files of a folder that the report can show, by path."""
    paths = [path for path in sorted(files.existing(folder).rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    parts = [path.relative_to(folder).with_suffix("").parts for path in paths]
    return [Entry(stage, "/".join(item), path) for (stage, *item), path in zip(parts, paths, strict=True)]


def find_former(entries: Iterable[Entry], networks: Collection[str]) -> set[str]:
    """Names of the networks of earlier runs.

    A stage that left an item of a network of this run leaves items of networks alone: whatever else lies beside it
    is a network of an earlier run. Its name counts in every stage, also where only earlier runs left something.
    """
    owners: dict[str, set[str]] = {}
    for entry in entries:
        if entry.owner:
            owners.setdefault(entry.stage, set()).add(entry.owner)
    return {name for names in owners.values() if not names.isdisjoint(networks) for name in names} - set(networks)


def add(material: Material, entry: Entry, is_list: bool) -> None:
    """Read one file into its place; is_list: a table of figures as `name,value`."""
    place = entry.stage, entry.item
    if entry.path.suffix == ".png":
        if Image.open(entry.path).size != zips.NOTHING.shape[:2]:
            _put(material.pictures, place, entry.path.read_bytes())
    elif is_list:
        _put(material.figures, place, tables.load_scores(entry.path))
    else:
        _put(material.tables, place, read_table(entry.path))


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file; an empty one gives an empty table."""
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _put(target: ByStage[Kind], place: tuple[str, str], value: Kind) -> None:
    stage, item = place
    target.setdefault(stage, {})[item] = value
