"""Floors of the default run, on the figures it left; skipped where it has not run or other data were chosen."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.closure import ROOT

MASKS = ROOT / "metrics/evaluate_masks.json"
DATA = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]


@pytest.fixture(scope="module")
def masks() -> dict[str, float]:
    """Figures of the chain of masks."""
    if DATA != "shapes" or not MASKS.exists() or not (ROOT / "models/segmenter").exists():
        pytest.skip("the default pipeline has not run here: make repro")
    return json.loads(MASKS.read_text())


def test_refinement_wins_five_points(masks: dict[str, float]) -> None:
    for split in ("train", "test"):
        assert masks[f"{split}_refined_miou"] >= masks[f"{split}_seed_miou"] + 0.05


def test_the_segmenter_holds_what_refinement_won_and_the_control_is_above_both(masks: dict[str, float]) -> None:
    assert masks["test_segmenter_miou"] >= masks["test_refined_miou"]
    assert masks["test_control_miou"] >= max(masks["test_segmenter_miou"], masks["test_refined_miou"])


def test_every_step_beats_the_trivial_masks(masks: dict[str, float]) -> None:
    trivial = max(masks[f"test_{name}_miou"] for name in ("all_background", "all_foreground", "center_gaussian"))
    assert masks["test_segmenter_miou"] > trivial
