"""From params.yaml to the Params of a stage: every problem at once, each by its full name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import yaml

from weakseg.errors import UserError
from weakseg.harness import checked_params, choices
from weakseg.harness.choices import Choice
from weakseg.harness.params import NetworkParams, Of, StageParams

ENTRY = {"backbone": "slak", "variant": "small", "weights": "random", "train": {}, "cams": {}, "distill": {}}
WHOLE: dict[str, Any] = {
    "seed": 3,
    "networks": {"mine": ENTRY},
    "methods": {"pc1": {"weights": "raw"}, "cam": {"weights": "class"}},
    "stage": {"rate": 1, "method": "pc1", "options": {}},
}


class Params(StageParams):
    seed: int
    rate: float  # a share
    method: Annotated[Choice, Of("methods", "maps")]


class PerNetwork(NetworkParams):
    part: ClassVar[str] = "cams"
    rate: float
    method: Annotated[Choice, Of("methods", "maps")]


def load(tmp_path: Path, model: type[StageParams] = Params, network: str | None = None, **changes: Any) -> Any:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(WHOLE | changes))
    return checked_params.load(model, "stage", path, network)


def stage(**changes: Any) -> dict[str, Any]:
    return WHOLE["stage"] | changes


def test_a_good_section_is_frozen_and_its_choice_has_options(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert (loaded.seed, loaded.rate, loaded.method.name) == (3, 1.0, "pc1")
    assert loaded.method.options == {"weights": "raw"}
    assert loaded.method.function.__module__ == "weakseg.cams.methods.pc1"
    assert pickle.loads(pickle.dumps(loaded.method)) == loaded.method
    with pytest.raises(ValueError):
        loaded.rate = 2.0


def test_a_section_may_want_options_of_its_own(tmp_path: Path) -> None:
    assert load(tmp_path, stage=stage(options={"pc1": {"weights": "class"}})).method.options == {"weights": "class"}


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, stage={"rate": "high", "extra": 1, "method": "camm"})
    message = str(caught.value)
    for problem in ("stage.rate is 'high'", "stage.extra is unknown", "stage.method: unknown choice 'camm'"):
        assert problem in message
    assert ", ".join(choices.names("methods")) in message


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"methods": {"pc1": {"weights": "raw", "power": 2}}}, r"methods\.pc1\.power is unknown .*pc1 are: weights"),
        ({"methods": {"pc1": {}}}, r"methods\.pc1\.weights is missing"),
        ({"methods": {}}, r"methods\.pc1 is missing"),
        ({"stage": {"rate": 1, "method": "pc1", "options": {"grabcut": {}}}}, r"options\.grabcut is no choice"),
        ({"stage": {"rate": 1, "method": "pc1", "options": 3}}, r"stage\.options is 3: write a mapping"),
        ({"stage": {"rate": 1, "method": "pc1", "seed": 3}}, r"stage\.seed is unknown: it stands at the top"),
        ({"stage": None}, "stage is missing"),
    ],
)
def test_each_problem(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load(tmp_path, **changes)


def test_an_entry_is_laid_over_its_section(tmp_path: Path) -> None:
    networks = {"mine": ENTRY | {"cams": {"rate": 0.5}}}
    loaded = load(tmp_path, PerNetwork, "mine", networks=networks)
    assert loaded.rate == 0.5
    assert (loaded.network.name, loaded.network.backbone.name, loaded.network.variant) == ("mine", "slak", "small")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"backbone": "slack"}, r"networks\.mine\.backbone: unknown choice 'slack' for backbones: choose one of any"),
        ({"cams": {"speed": 1}}, r"networks\.mine\.cams\.speed is unknown"),
        ({"cams": {"method": "cam"}}, r"networks\.mine\.cams\.method is chosen for all networks at once"),
        ({"cams": {"rate": "low"}}, "rate is 'low'"),
        ({"size": 3}, r"networks\.mine\.size is unknown"),
        ({"distill": None}, r"networks\.mine\.distill is missing"),
    ],
)
def test_problems_of_an_entry(tmp_path: Path, entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load(tmp_path, PerNetwork, "mine", networks={"mine": ENTRY | entry})


def test_a_name_that_is_no_entry_and_one_that_is_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="networks has no entry 'other': choose one of mine"):
        load(tmp_path, PerNetwork, "other")
    with pytest.raises(UserError, match="becomes the name of files"):
        load(tmp_path, PerNetwork, "a/b", networks={"a/b": ENTRY})
