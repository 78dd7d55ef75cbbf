"""What the documents tell people to type and to open is there."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from tests import closure, documented
from weakseg.cli.__main__ import parser

WORDS = {path.relative_to(closure.ROOT).as_posix(): path.read_text() for path in documented.PAGES}


def typed(text: str, program: str) -> list[str]:
    """Lines of a page's blocks of code that begin with a program."""
    return [line for line in documented.blocks(text) if line.split()[0] == program]


@pytest.mark.parametrize("page", WORDS)
def test_commands_of_weakseg_are_understood(page: str) -> None:
    for line in typed(WORDS[page], "weakseg"):
        parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", WORDS)
def test_modules_that_are_run_are_there(page: str) -> None:
    for module in re.findall(r"python -m ([\w.]+\w)", WORDS[page]):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", WORDS)
def test_files_that_are_named_are_there(page: str) -> None:
    """Links of the page, from where it lies, and paths of the repository between backticks."""
    links = re.findall(r"\]\(([^)#:]+)\)", WORDS[page])
    folder = (closure.ROOT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []
    named = re.findall(r"`((?:weakseg|stages|tests|docs|presets|benchmarks)/[\w./-]+)`", WORDS[page])
    assert [name for name in named if not Path(closure.ROOT / name).exists()] == []


@pytest.mark.parametrize("page", WORDS)
def test_tests_that_are_named_are_there(page: str) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", WORDS[page]):
        assert f"def {name}(" in (closure.ROOT / path).read_text(), f"{path}::{name}"
