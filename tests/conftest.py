"""Fixtures of all tests: a folder to work in, and parameters that start from params.yaml."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.parameters import changed
from weakseg.errors import UserError
from weakseg.harness import checked_params, stage

stage.spin_briefly()


def load(module: ModuleType, network: str | None, whole: Mapping[str, Any]) -> Any:
    """The Params of a stage from a whole params.yaml; UserError that names all problems."""
    resolver = checked_params.Resolver(whole)
    loaded = resolver.stage(stage.params_model(module.main), module.__name__.rpartition(".")[2], network)
    if resolver.problems:
        raise UserError("; ".join(resolver.problems))
    return loaded


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stages keep of single items, apart from the project's and from that of other tests."""
    monkeypatch.setenv("WEAKSEG_CACHE", str(tmp_path / ".cache"))


@pytest.fixture
def forget(own_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, it lets stages begin as if none had run before."""
    numbers = itertools.count()
    return lambda: monkeypatch.setenv("WEAKSEG_CACHE", str(tmp_path / f".cache{next(numbers)}"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder, as the working folder: caches go there too. The empty path, so that names stay short."""
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.fixture(scope="session")
def stage_params() -> Callable[..., Any]:
    """The Params of a stage: params.yaml with changed fields of its section, and changes of other sections in `others`.

    `stage_params(distill_cams, "mobilenet", rounds=2, others={"refiners": {"grabcut": {"iterations": 1}}})`
    """

    def build(
        module: ModuleType, network: str | None = None, *, others: Mapping[str, Any] | None = None, **changes: Any
    ) -> Any:
        whole = changed(others or {})
        section = module.__name__.rpartition(".")[2]
        whole[section] = whole.get(section, {}) | changes
        return load(module, network, whole)

    return build
