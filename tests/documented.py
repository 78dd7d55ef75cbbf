"""The `dvc exp run` commands that README.md and docs/ give, as data: what they promise is what tests run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import chain

from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides

from tests.closure import ROOT

PRESETS = ROOT / "presets"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
COMPANIONS = {"system3_mobilenet"}  # presets that mean nothing alone: an encoder for the segmenter of another one
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = "dvc exp run"
ANY = "NAME"  # stands in a command for each preset that begins a row of a table in the same document


@dataclass(frozen=True)
class Command:
    """One `dvc exp run`: its presets in order, every value it sets, its targets, and where it is written."""

    document: str
    presets: tuple[str, ...]
    overrides: tuple[str, ...]
    targets: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([*self.presets, *self.overrides[self._inherited :], *self.targets])

    @property
    def alone(self) -> bool:
        """Whether it is one preset that no document gives without others."""
        return self.document == ""

    @property
    def complete(self) -> bool:
        """Whether all of its presets are there."""
        return all((PRESETS / name).is_file() for name in self.presets)

    @property
    def _inherited(self) -> int:
        return sum(len(lines(name)[0]) for name in self.presets)


def lines(preset: str) -> tuple[list[str], list[str]]:
    """What a preset sets, and the targets it ends in; the shell splits it at white space and takes no quotes off."""
    path = PRESETS / preset
    return arguments(path.read_text().split() if path.is_file() else [])


def arguments(words: list[str]) -> tuple[list[str], list[str]]:
    """Values after -S, and targets, of the words after `dvc exp run`."""
    values, targets = [], []
    rest = iter(words)
    for word in rest:
        if word == "-S":
            values.append(next(rest))
        elif word in ("-n", "--name", "-j"):
            next(rest)
        elif not word.startswith("-"):
            targets.append(word)
    return values, targets


def blocks(page: str) -> list[str]:
    """Every line of a Markdown page's blocks of code, continued ones as one."""
    written = chain.from_iterable(block.replace("\\\n", " ").splitlines() for block in FENCE.findall(page))
    return [line.strip() for line in written if line.strip()]


def texts(page: str) -> list[str]:
    """Every `dvc exp run` of a page, on one line each: in its blocks of code, and between backticks."""
    inline = (" ".join(text.split()) for text in re.findall(rf"`({RUN}[^`]*)`", FENCE.sub("", page)))
    return [line for line in chain(blocks(page), inline) if line.startswith(RUN)]


def rows(document: str) -> list[str]:
    """Presets that begin a row of a table whose first column is headed `preset`."""
    tables = re.findall(r"^\| preset \|.*\n((?:\|.*\n)+)", document, re.MULTILINE)
    return [name for table in tables for name in re.findall(r"^\| `(\w+)`", table, re.MULTILINE)]


def parse(text: str, document: str) -> Command:
    """One command as data; its presets come first, as the shell puts them in place."""
    presets = [name for group in re.findall(r"\$\(cat ([^)]*)\)", text) for name in group.split()]
    names = [name.removeprefix("presets/") for name in presets]
    own, targets = arguments(shlex.split(re.sub(r"\$\(cat [^)]*\)", "", text), comments=True)[3:])
    listed = [lines(name) for name in names]
    values = [*chain.from_iterable(value for value, _ in listed), *own]
    return Command(document, tuple(names), tuple(values), (*chain.from_iterable(last for _, last in listed), *targets))


def commands() -> list[Command]:
    """Every documented command, once."""
    found = []
    for path in PAGES:
        document = path.read_text()
        for text in texts(document):
            written = [text.replace(f"presets/{ANY}", f"presets/{name}") for name in rows(document)]
            found += [parse(line, path.name) for line in (written if f"presets/{ANY}" in text else [text])]
    return list(dict.fromkeys(found))


def named() -> dict[str, str]:
    """Every preset that a documented command names, there or not, and the last document that does."""
    return {name: command.document for command in commands() for name in command.presets}


def points(overrides: tuple[str, ...]) -> list[list[str]]:
    """The points of a sweep as overrides, of which DVC then keeps the last of each key; else all, in their order."""
    if not any(item.is_sweep_override() for item in to_hydra_overrides(list(overrides))):
        return [list(overrides)]
    return [point["params.yaml"] for point in get_hydra_sweeps({"params.yaml": list(overrides)})]


def stacks() -> list[Command]:
    """Every documented command and every preset alone, up to the targets it is documented with."""
    documented = [command for command in commands() if command.complete]
    alone = []
    for name in sorted({path.name for path in PRESETS.iterdir()} - COMPANIONS):
        using = [command.targets for command in documented if name in command.presets]
        targets = () if not using or () in using else tuple(dict.fromkeys(chain.from_iterable(using)))
        alone.append(Command("", (name,), tuple(lines(name)[0]), targets))
    return list({(item.overrides, item.targets): item for item in [*alone, *documented]}.values())
