"""Choices by file name: `generate_cams.method: layercam` means the file layercam.py in the folder of methods."""

from __future__ import annotations

import ast
import importlib
import typing
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from weakseg.errors import UserError

PACKAGE = Path(__file__).parent.parent
FOLDERS = {
    "backbones": "networks/backbones",
    "datasets": "data/datasets",
    "methods": "cams/methods",
    "refiners": "masks/refiners",
    "segmenters": "networks/segmenters",
    "thresholds": "masks/thresholds",
}
TYPES = {"bool": bool, "dict": dict, "float": float, "int": int, "list": list, "str": str, "Literal": Literal}


def names(folder: str) -> list[str]:
    """Sorted names of the choices of a folder, one per file."""
    return sorted(path.stem for path in (PACKAGE / FOLDERS[folder]).glob("*.py") if path.stem != "__init__")


def check(folder: str, name: str) -> None:
    """UserError that lists the choices where there is no such file."""
    if name not in names(folder):
        raise UserError(f"unknown choice '{name}' for {folder}: choose one of {', '.join(names(folder))}")


def load(folder: str, name: str) -> ModuleType:
    """Import a choice; UserError lists those there are when there is no such file."""
    check(folder, name)
    return importlib.import_module(f"weakseg.{FOLDERS[folder].replace('/', '.')}.{name}")


@dataclass(frozen=True)
class Choice:
    """A chosen file, the function it offers as `symbol`, and that function's options, checked.

    Calling it calls the function with the options. It can be sent to another process: the file is imported there.
    """

    folder: str
    symbol: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> ModuleType:
        """The file, imported."""
        return load(self.folder, self.name)

    @property
    def function(self) -> Callable[..., Any]:
        """What the file offers under the symbol."""
        return getattr(self.module, self.symbol)

    def __call__(self, *arguments: Any, **supplied: Any) -> Any:
        return self.function(*arguments, **supplied, **self.options)


def option_types(folder: str, name: str, symbol: str, supplied: Container[str] = ()) -> dict[str, tuple[Any, Any]]:
    """Type and default (... where there is none) of each keyword-only argument of a choice that is not `supplied`.

    Read from the source, so that parameters are checked without importing torch; a file whose annotations need more
    than built-in types and Literal is imported. UserError where there is no such file.
    """
    check(folder, name)
    tree = ast.parse((PACKAGE / FOLDERS[folder] / f"{name}.py").read_text(encoding="utf-8"))
    arguments = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == symbol).args
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    wanted = {
        argument.arg: (argument.annotation, default) for argument, default in pairs if argument.arg not in supplied
    }
    try:
        return {key: (_evaluate(kind), _evaluate(default)) for key, (kind, default) in wanted.items()}
    except (NameError, TypeError):
        hints = typing.get_type_hints(getattr(load(folder, name), symbol))
        return {key: (hints[key], _evaluate(default)) for key, (_, default) in wanted.items()}


def _evaluate(node: ast.expr | None) -> Any:
    """Value of an expression made of built-in types, Literal and constants; ... where there is none."""
    return ... if node is None else eval(ast.unparse(node), {"__builtins__": {}}, TYPES)
