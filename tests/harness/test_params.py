"""Strict parameters: every problem at once, each by its full name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from weakseg.errors import UserError
from weakseg.harness import choices, params


class Params(params.StageParams):
    choices: ClassVar = {"method": ("methods", "maps")}
    seed: int
    rate: float  # a share
    method: str


class Network(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    variant: str


def load(tmp_path: Path, text: str) -> params.StageParams:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return params.load(Params, "stage", path)


def test_a_good_section_is_frozen_and_finds_its_choice(tmp_path: Path) -> None:
    loaded = load(tmp_path, "seed: 3\nstage: {rate: 1, method: eigencam, eigencam: {}, gradcam: {}}")
    assert (loaded.seed, loaded.rate) == (3, 1.0)
    function, options = loaded.choice("method")
    assert function.__module__ == "weakseg.cams.methods.eigencam" and options == {}
    with pytest.raises(ValueError):
        loaded.rate = 2.0


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, "seed: 3\nstage: {rate: high, extra: 1}")
    message = str(caught.value)
    assert (
        "stage.rate is 'high'" in message
        and "stage.extra is unknown" in message
        and "stage.method is missing" in message
    )


def test_unknown_choice_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, "seed: 3\nstage: {rate: 1, method: camm}")
    assert "'camm'" in str(caught.value) and ", ".join(choices.names("methods")) in str(caught.value)


def test_unknown_option_of_a_choice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cam\.power is unknown"):
        load(tmp_path, "seed: 3\nstage: {rate: 1, method: cam, cam: {power: 2}}")


def test_missing_section_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no section 'stage'"):
        load(tmp_path, "other: {}")
    with pytest.raises(UserError, match="does not exist"):
        params.load(Params, "stage", tmp_path / "absent.yaml")


def test_sub_section_of_a_flag_is_checked(tmp_path: Path) -> None:
    loaded = load(tmp_path, "seed: 3\nstage: {rate: 1, method: eigencam, gradcam: {variant: 5}}")
    with pytest.raises(UserError, match=r"gradcam\.variant"):
        loaded.section("gradcam", Network)
    with pytest.raises(UserError, match=r"layercam\.variant is missing"):
        loaded.section("layercam", Network)
