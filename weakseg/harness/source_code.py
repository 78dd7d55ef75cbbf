"""The code that a program uses: what its files import, read from their source, without running anything."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from weakseg.harness import choices

ROOT = choices.PACKAGE.parent
CODE = (choices.PACKAGE.name, "stages", "studies")
NUMBERS = "weakseg/harness/device.py"  # all of the harness that can change a number
Folders = frozenset[str]


def _module_file(dotted: str) -> Path | None:
    """`weakseg.errors` -> weakseg/errors.py; None for packages and names that are no file."""
    path = ROOT.joinpath(*dotted.split(".")).with_suffix(".py")
    return path if path.is_file() else None


@functools.cache
def parse(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path) -> frozenset[Path]:
    """Files of this project that a file imports by statement, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.partition(".")[0] in CODE}
    return frozenset(file for file in map(_module_file, ours) if file)


def imported(starts: Iterable[Path]) -> list[Path]:
    """Sorted source files that some files import, directly or by way of others, and they themselves."""
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports(path)
    return sorted(found)


def package_data(path: Path) -> set[Path]:
    """Files beside `path` that are no source and that it names in a string, such as a template."""
    strings = {node.value for node in ast.walk(parse(path)) if isinstance(node, ast.Constant)}
    named = {text for text in strings if isinstance(text, str) and re.fullmatch(r"\w+\.\w+", text)}
    return {file for file in map(path.parent.joinpath, named) if file.is_file() and file.suffix != ".py"}


@functools.cache
def loaded_folders(path: Path) -> Folders:
    """Folders of choices that a file loads from: `choices.load("x", ...)`, or `Of("x", ...)` of a Params."""
    found: set[str] = set()
    for node in ast.walk(parse(path)):
        match node:
            case ast.Call(func=ast.Attribute(ast.Name("choices"), "load"), args=[ast.Constant(str(name)), *_]):
                found.add(name)
            case ast.Call(func=ast.Name("Of"), args=[ast.Constant(str(name)), *_]):
                found.add(name)
    return frozenset(found)


def relative(path: Path) -> str:
    """Path below the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def is_harness(path: Path) -> bool:
    """Whether a file cannot change a number: it runs stages, tracks progress, or phrases errors."""
    name = relative(path)
    return name != NUMBERS and (name.startswith("weakseg/harness/") or name == "weakseg/errors.py")


def closure(start: Path) -> tuple[set[Path], Folders]:
    """Files that can change what a program computes, itself included, and the folders of choices it loads from.

    Not the choices: the one that is made is a dependency by name. What every choice of such a folder imports does
    count, because the choice may change. ValueError where a choice loads choices.
    """
    files: set[Path] = set()
    loaded: set[str] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file in files or is_harness(file):
            continue
        files |= {file} | package_data(file)
        waiting += imports(file)
        for folder in loaded_folders(file) - loaded:
            loaded.add(folder)
            waiting += _imports_of_choices(folder)
    return files, frozenset(loaded)


def _imports_of_choices(folder: str) -> list[Path]:
    found: list[Path] = []
    for choice in sorted((choices.PACKAGE / choices.FOLDERS[folder]).glob("*.py")):
        if nested := loaded_folders(choice):
            raise ValueError(f"{relative(choice)} loads choices of {', '.join(nested)}: a choice may not load choices")
        found += imports(choice)
    return found


def programs() -> list[Path]:
    """Files of the stages and of the studies that are run, sorted."""
    found = [*(ROOT / "stages").glob("*.py"), *(ROOT / "studies").glob("*/*.py")]
    return sorted(path for path in found if '__name__ == "__main__"' in path.read_text(encoding="utf-8"))


def listing(start: Path) -> str:
    """SHA-256 and path of every file that can change what a program computes, a line each, as `sha256sum` writes."""
    lines = {relative(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in closure(start)[0]}
    return "".join(f"{lines[name]}  {name}\n" for name in sorted(lines))
