"""Choices by file name: `generate_cams.method: layercam` means weakseg/cams/layercam.py."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from weakseg.errors import UserError

PACKAGE = Path(__file__).parent


def names(folder: str) -> list[str]:
    """Sorted names of the choices in `weakseg/<folder>`, one per file."""
    return sorted(path.stem for path in (PACKAGE / folder).glob("*.py") if path.stem != "__init__")


def load(folder: str, name: str) -> ModuleType:
    """Import `weakseg.<folder>.<name>`; UserError lists the choices when there is no such file."""
    if name not in names(folder):
        raise UserError(f"unknown choice '{name}' for {folder}: choose one of {', '.join(names(folder))}")
    return importlib.import_module(f"weakseg.{folder}.{name}")


def option_fields(function: Callable[..., Any]) -> dict[str, Any]:
    """Options of a choice, as pydantic field definitions: the keyword-only arguments of its function."""
    hints = typing.get_type_hints(function)
    return {
        parameter.name: (
            hints.get(parameter.name, Any),
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def option_problems(error: ValidationError, where: str) -> list[str]:
    """One phrase for each problem pydantic found, with the full name of the parameter."""
    phrases = {"missing": "is missing", "extra_forbidden": "is unknown"}
    problems = []
    for item in error.errors():
        name = ".".join(str(part) for part in (where, *item["loc"]) if part != "")
        detail = phrases.get(item["type"], f"is {item.get('input')!r}: {item['msg']}")
        problems.append(f"{name} {detail}")
    return problems


def options(folder: str, name: str, symbol: str, given: dict[str, Any], *, supplied: tuple[str, ...] = ()) -> dict:
    """Check `given` strictly against the keyword-only arguments of `weakseg.<folder>.<name>.<symbol>`.

    `supplied` names the arguments the caller computes itself. Unknown, missing and mistyped options are
    all named in one UserError.
    """
    fields = option_fields(getattr(load(folder, name), symbol))
    wanted = {key: field for key, field in fields.items() if key not in supplied}
    model = create_model("Options", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **wanted)
    try:
        return model.model_validate(given).model_dump()
    except ValidationError as error:
        problems = "; ".join(option_problems(error, f"{folder} option {name}"))
        raise UserError(f"params.yaml: {problems}; the options are {', '.join(wanted) or 'none'}") from None
