"""Strict parameters: one section of params.yaml a stage, checked whole before anything runs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from weakseg.errors import UserError
from weakseg.harness import choices


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
    """Check `given` strictly against the keyword-only arguments of a choice's `symbol`.

    `supplied` names the arguments the caller computes itself. Unknown, missing and mistyped options are
    all named in one UserError.
    """
    fields = option_fields(getattr(choices.load(folder, name), symbol))
    wanted = {key: field for key, field in fields.items() if key not in supplied}
    model = create_model("Options", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **wanted)
    try:
        return model.model_validate(given).model_dump()
    except ValidationError as error:
        problems = "; ".join(option_problems(error, f"{folder} option {name}"))
        raise UserError(f"params.yaml: {problems}; the options are {', '.join(wanted) or 'none'}") from None


SHARED = ("seed", "data", "backbones")  # top-level keys of params.yaml that belong to no stage
Checked = TypeVar("Checked", bound=BaseModel)


class StageParams(BaseModel):
    """Base of every stage's Params.

    `choices` maps a field to (folder, symbol): its value names a file of that folder, and a sub-section of
    the same name holds the options of `symbol`. `supplied` names keyword-only arguments the stage computes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    choices: ClassVar[dict[str, tuple[str, str]]] = {}
    supplied: ClassVar[tuple[str, ...]] = ()
    _options: dict[str, dict[str, Any]] = {}
    _section: dict[str, Any] = {}

    def choice(self, field: str) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The function a field names, and its checked options."""
        folder, symbol = self.choices[field]
        name = getattr(self, field)
        return getattr(choices.load(folder, name), symbol), self._options.get(field, {})

    def section(self, name: str, model: type[Checked]) -> Checked:
        """The sub-section `name`, for a choice that a flag makes (a backbone), checked by its own model."""
        try:
            return model.model_validate(self._section.get(name) or {})
        except ValidationError as error:
            raise UserError(f"params.yaml: {'; '.join(option_problems(error, name))}") from None


def read(path: Path) -> dict[str, Any]:
    """Read params.yaml as a mapping; UserError when it is absent or no mapping."""
    try:
        value = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run from the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold one section per stage")
    return value


def _choice_problems(model: type[StageParams], section: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Check every field that names a choice and the options of the chosen one."""
    problems, checked = [], {}
    for field, (folder, symbol) in model.choices.items():
        name = section.get(field)
        if not isinstance(name, str):
            continue
        try:
            given = section.get(name)
            checked[field] = options(folder, name, symbol, given or {}, supplied=model.supplied)
        except UserError as error:
            problems.append(f"{field}: {error}")
    return problems, checked


def check(model: type[StageParams], name: str, whole: dict[str, Any], path: Path) -> StageParams:
    """Check section `name`; all unknown, missing and mistyped keys are named in one UserError."""
    section = dict(whole.get(name) or {})
    allowed = {option for folder, _ in model.choices.values() for option in choices.names(folder)}
    plain = {key: value for key, value in section.items() if key not in allowed or key in model.model_fields}
    plain |= {key: whole[key] for key in SHARED if key in model.model_fields and key in whole}
    problems, checked = _choice_problems(model, section | plain)
    params = None
    try:
        params = model.model_validate(plain)
    except ValidationError as error:
        problems = option_problems(error, name) + problems
    if params is None or problems:
        raise UserError(f"{path}: {'; '.join(problems)}")
    params._options, params._section = checked, section
    return params


def load(model: type[StageParams], name: str, path: Path = Path("params.yaml")) -> StageParams:
    """Read and check one stage's section."""
    whole = read(path)
    if name not in whole:
        raise UserError(f"{path} has no section '{name}': add it, or restore the default params.yaml")
    return check(model, name, whole, path)
