"""Choices by file name: every choice can be switched to with the options params.yaml holds for it."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
import yaml

from tests import closure
from tests.test_architecture import BLOCKS, main_of
from weakseg.errors import UserError
from weakseg.harness import choices, params

WHOLE = yaml.safe_load((closure.ROOT / "params.yaml").read_text())
FIELDS = [
    (block, field, folder)
    for block, body in BLOCKS.items()
    for field, (folder, _) in typing.get_type_hints(main_of(body))["params"].choices.items()
    if field in typing.get_type_hints(main_of(body))["params"].model_fields and block != "train_control"
]


@pytest.mark.parametrize(("block", "field", "folder"), FIELDS)
def test_every_choice_has_its_options_in_params(block: str, field: str, folder: str) -> None:
    section = Path(closure.stage_file(BLOCKS[block])).stem
    model = typing.get_type_hints(main_of(BLOCKS[block]))["params"]
    for name in choices.names(folder):
        switched = {**WHOLE[section], field: name} | ({"threshold_scope": "pooled"} if name == "consistency" else {})
        changed = WHOLE | ({field: name} if field in closure.SHARED else {section: switched})
        assert name in changed[section], f"{section} needs a line '{name}: {{}}', because dvc.yaml names it"
        params.check(model, section, changed, Path("params.yaml"))


def test_an_unknown_choice_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="unknown choice 'gradcam3' for methods: choose one of cam, eigencam"):
        choices.load("methods", "gradcam3")
