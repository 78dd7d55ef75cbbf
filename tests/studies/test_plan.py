"""The plan of the study: every params.yaml it composes is legal, and differs in the network alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import stages
from studies.kernels import plan as plans
from tests.closure import ROOT
from weakseg.errors import UserError
from weakseg.harness import checked_params, stage

PLAN = ROOT / "studies/kernels/params.yaml"
WHOLE = yaml.safe_load((ROOT / "params.yaml").read_text())


def test_forty_two_networks_of_different_names() -> None:
    networks = plans.list_networks(plans.load(PLAN))
    assert len(networks) == len({network.name for network in networks}) == 42
    assert [network.name for network in networks[:3]] == ["k3_seed0", "k3_cross_seed0", "k5_seed0"]


def test_every_composed_params_is_legal() -> None:
    plan, models = plans.load(PLAN), stage.all_params(stages)
    for network in plans.list_networks(plan)[:3]:
        for kind in plan.maps:
            assert checked_params.check_all(plans.compose(WHOLE, plan, network, kind), models) == []


def test_networks_differ_in_variant_and_seed_alone() -> None:
    plan = plans.load(PLAN)
    one, *_, other = (plans.compose(WHOLE, plan, network, "cam") for network in plans.list_networks(plan))
    assert {key for key in one if one[key] != other[key]} == {"networks", "mask_network", "features_from", "seed"}
    (first,), (last,) = one["networks"].values(), other["networks"].values()
    assert {key for key in first if first[key] != last[key]} == {"variant"}


def test_mappings_are_merged_and_nothing_is_changed_in_place() -> None:
    whole = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert plans.lay_over(whole, {"a": {"c": {"d": 4}}, "e": 5}) == {"a": {"b": 1, "c": {"d": 4}}, "e": 5}
    assert whole == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernels": [3, 5], "seeds": [0]}, "4 networks cannot be compared: give kernels, shapes and seeds for 5"),
        ({"kernels": [3, 5], "seeds": [0, 0, 0]}, "4 networks cannot be compared"),
        ({"shapes": ["star"]}, "shapes.0 is 'star'"),
        ({"colors": 3}, "colors is unknown"),
        ({"resamples": 0}, "resamples is 0"),
    ],
)
def test_bad_plans(tmp_path: Path, changes: dict, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(PLAN.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        plans.load(path)
