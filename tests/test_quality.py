"""Floors of the default run, and the README's figures of it, on what was committed and on what ran here."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from tests.closure import ROOT

MASKS = "metrics/masks.json"
SENTENCE = re.compile(
    r"centered Gaussian ([\d.]+), thresholded activation map ([\d.]+), distilled map ([\d.]+), refined mask ([\d.]+), "
    r"segmenter ([\d.]+), the same network on\s+true masks ([\d.]+)\. Three networks learn the kinds to (\d+) - (\d+) %"
)
STEPS = ("center", "cam", "distilled", "refined", "segmenter", "control")


def committed(path: str) -> dict[str, float]:
    """A metrics file as the last commit has it; skips where there is no commit to ask."""
    shown = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode:
        pytest.skip("no commit holds the figures of the default run")
    return json.loads(shown.stdout)


@pytest.fixture(scope="module")
def masks() -> dict[str, float]:
    """Mean IoU of the steps on test images, as the last run left them here."""
    if yaml.safe_load((ROOT / "params.yaml").read_text())["data"] != "shapes":
        pytest.skip("other data were chosen")
    return json.loads((ROOT / MASKS).read_text())


def test_refinement_wins_five_points(masks: dict[str, float]) -> None:
    assert masks["refined"] >= masks["cam"] + 0.05


def test_the_segmenter_holds_what_refinement_won_and_the_control_is_above_both(masks: dict[str, float]) -> None:
    assert masks["segmenter"] >= masks["refined"]
    assert masks["control"] >= max(masks["segmenter"], masks["refined"])


def test_the_chain_beats_a_centered_gaussian(masks: dict[str, float]) -> None:
    assert masks["segmenter"] > masks["center"]


def test_the_readme_says_what_was_committed() -> None:
    found = SENTENCE.search((ROOT / "README.md").read_text())
    assert found, "the README's sentence on the default run has another form"
    values = committed(MASKS)
    assert list(found.groups()[:6]) == [f"{100 * values[step]:.1f}" for step in STEPS]
    networks = yaml.safe_load((ROOT / "params.yaml").read_text())["networks"]
    accuracies = [committed(f"metrics/labels/{name}.json")["accuracy"] for name in networks]
    assert found.groups()[6:] == (f"{100 * min(accuracies):.0f}", f"{100 * max(accuracies):.0f}")
