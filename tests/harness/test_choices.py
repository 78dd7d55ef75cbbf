"""Choices by file name: found, imported, called with their options, and their options read without importing them."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import pytest

from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.harness.choices import Choice
from weakseg.harness.params import WITH_OPTIONS

SUPPLIED = {"refiners": ("threshold",), "segmenters": ("classifier",), "thresholds": ("confidence",)}
FILES = [(folder, name) for folder in WITH_OPTIONS for name in choices.names(folder)]


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_options_read_from_the_source_are_those_of_the_function(folder: str, name: str) -> None:
    function = getattr(choices.load(folder, name), WITH_OPTIONS[folder])
    hints = typing.get_type_hints(function)
    arguments = inspect.signature(function).parameters.values()
    keywords = [item for item in arguments if item.kind is inspect.Parameter.KEYWORD_ONLY]
    expected = {
        item.name: (hints[item.name], ... if item.default is inspect.Parameter.empty else item.default)
        for item in keywords
        if item.name not in SUPPLIED.get(folder, ())
    }
    assert choices.option_types(folder, name, WITH_OPTIONS[folder], SUPPLIED.get(folder, ())) == expected


def test_reading_all_options_imports_no_torch() -> None:
    code = (
        "import sys; from weakseg.harness import choices\n"
        f"[choices.option_types(f, n, {WITH_OPTIONS!r}[f], {SUPPLIED!r}.get(f, ())) for f, n in {FILES!r}]\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_choice_is_called_with_its_options() -> None:
    choice = Choice("thresholds", "pick", "fixed", {"value": 0.25})
    assert choice([]) == 0.25


def test_an_unknown_choice_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="unknown choice 'gradcam3' for methods: choose one of cam, eigencam"):
        choices.load("methods", "gradcam3")
