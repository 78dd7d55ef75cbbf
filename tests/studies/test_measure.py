"""Measuring: real stages on a few drawings, resumed network by network, the same whatever the order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from studies.kernels import measure
from studies.kernels import network as networks
from studies.kernels import plan as plans
from tests import closure
from tests.closure import ROOT
from weakseg.errors import UserError
from weakseg.harness import choices

WHOLE = yaml.safe_load((ROOT / "params.yaml").read_text())
TINY = {
    "datasets": {"silhouettes": {"train_images": 20, "test_images": 5, "image_size": 32}},
    "train_classifier": {"image_size": 32, "epochs": 1},
    "measure_erf": {"central_size": 32, "saliency_size": 32, "central_images": 2, "saliency_images": 2},
    "generate_cams": {"image_size": 32},
    "distill_cams": {"image_size": 32, "refined_rounds": 0, "least_foreground": 0.0, "most_foreground": 1.0},
    "evaluate_boxes": {"grid_size": 32, "step": 0.1},
}


@pytest.fixture
def plan(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> plans.Plan:
    """The study's plan on 25 small drawings, one process; in a work folder."""
    monkeypatch.setenv("WEAKSEG_WORKERS", "1")
    loaded = plans.load(ROOT / "studies/kernels/params.yaml")
    return loaded.model_copy(update={"changes": plans.lay_over(loaded.changes, TINY), "mapped_images": 10})


def rows() -> dict[str, Path]:
    return {path.name.split(".")[0]: path for path in measure.home().glob("k*.json")}


def test_rows_are_whole_resumed_one_by_one_and_repeat_themselves(plan: plans.Plan) -> None:
    only = ["k3_seed0", "k31_cross_seed1"]
    measure.run(WHOLE, plan, Path("table.csv"), only)
    first, content = rows(), Path("table.csv").read_bytes()
    row = json.loads(first["k31_cross_seed1"].read_text())
    assert (row["kernel"], row["shape"], row["seed"]) == (31, "cross", 1)
    assert all(0 < row[name] <= 1 for name in plan.measures)
    assert all(0 <= row[f"{kind}_max_box_acc"] <= 1 for kind in plan.maps) and row["images"] == 5
    kept = first["k3_seed0"].stat().st_mtime_ns
    first["k31_cross_seed1"].unlink()
    measure.run(WHOLE, plan, Path("table.csv"), only)
    assert rows()["k3_seed0"].stat().st_mtime_ns == kept and Path("table.csv").read_bytes() == content
    assert not list(measure.home().glob(".*"))  # nothing is left of the work


def test_a_network_without_gradients_is_told(plan: plans.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = dict.fromkeys(networks.FIELD, 0.0)
    monkeypatch.setattr(networks.Study, "train", lambda study: flat)
    with pytest.raises(UserError, match="k3_seed0 has no receptive field: all gradients are 0"):
        measure.run(WHOLE, plan, Path("table.csv"), ["k3_seed0"])


def test_the_drawing_of_the_study_names_the_lists_of_the_code_it_runs() -> None:
    drawing = ROOT / "studies/kernels/dvc.yaml"
    assert drawing in closure.STUDIES
    for block in closure.stage_blocks(drawing).values():
        assert closure.code_list(closure.stage_file(block)) in block["deps"]


def test_the_choices_of_the_plan_are_dependencies(plan: plans.Plan) -> None:
    listed = closure.stage_blocks(ROOT / "studies/kernels/dvc.yaml")["measure"]["deps"]
    methods = {plans.lay_over(plan.changes, own)["generate_cams"]["method"] for own in plan.maps.values()}
    chosen = [("backbones", plans.BACKBONE), ("datasets", plan.changes["data"])]
    chosen += [("methods", name) for name in methods]
    assert {f"weakseg/{choices.FOLDERS[folder]}/{name}.py" for folder, name in chosen} <= set(listed)
