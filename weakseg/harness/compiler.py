"""torch's compiler, which nothing here uses, stays out of memory until somebody does.

torchvision, timm and torch's optimizers ask for it though nothing is compiled: to mark what it is to leave alone, or
for a question that compiled code alone asks. It has a thousand modules, a third of the time in which a stage with a
network starts. What stands in its place knows these answers; any other question brings the real one, for good.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

COMPILER, UTILITIES = "torch._dynamo", "torch._dynamo.utils"


def leave_as_is(function: Callable | None = None, *_: Any, **__: Any) -> Any:
    """The decorator that keeps a function from being compiled, where nothing is."""
    return leave_as_is if function is None else function


def break_graph() -> None:
    """The place where a compiled function is cut in two, where nothing is compiled."""


def is_compile_supported(device_type: str) -> Any:
    """What the compiler says, asked when it is needed."""
    return bring(UTILITIES).is_compile_supported(device_type)


def bring(name: str) -> ModuleType:
    """The real module, from now on for everybody."""
    for other in (COMPILER, UTILITIES):
        if isinstance(sys.modules.get(other), Deferred):
            del sys.modules[other]
    return importlib.import_module(name)


class Deferred(ModuleType):
    """A module that is loaded when more is asked of it than what it was given."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:
        # inspect asks every module for its file, and an import from a module whether it is a package
        if name == "__file__" or (name == "__path__" and self.__name__ == UTILITIES):
            raise AttributeError(name)
        return getattr(bring(self.__name__), name)


def put_off() -> None:
    """Put something in the compiler's place, unless it is there already; call it before timm is imported."""
    if COMPILER not in sys.modules:
        utilities = Deferred(UTILITIES, is_compile_supported=is_compile_supported)
        sys.modules[UTILITIES] = utilities
        sys.modules[COMPILER] = Deferred(COMPILER, utils=utilities, disable=leave_as_is, graph_break=break_graph)
