"""distill_cams on drawn squares: half a square as seed, the whole one after; modes, levels, divergence, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages import distill_cams
from tests.contents import content
from tests.world import World, save_cams, save_segments
from tests.world_networks import SEES_COLOR, color_classifier
from weakseg.artifacts import activations
from weakseg.errors import UserError
from weakseg.harness.stage import Outcome
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved_classifier

WORLD = World(train=4)  # both classes as often
NETWORK = "convnext"  # an entry that wants nothing different
SMALL = {
    "levels": [1],
    "image_size": 32,
    "batch_size": 4,
    "tails": 0.0,
    "rounds": 4,
    "least_change": 0.01,
    "least_foreground": 0.01,
    "refiner": "threshold",
    "options": {"grabcut": {"iterations": 1, "longest": 40, "smallest": 5}},
    "refined_rounds": 0,
    "refine_images": 3,
    "hold": False,
}


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """Level 1 is color on an 8x8 grid, level 2 color on a 4x4 grid, level 3 is flat."""
    network = color_classifier(blocks=3)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (network, SEES_COLOR))
    return network


@pytest.fixture
def paths(workplace: Path, classifier: Classifier) -> dict[str, Path]:
    """Inputs, superpixels that tell nothing, and where the rules' maps go."""
    paths = WORLD.write(workplace, "cams", "images", "labels")
    save_segments(Path("superpixels"), dict.fromkeys(WORLD.names, np.zeros(WORLD.shape)))
    Path("classifier").write_bytes(b"stands for the weights")
    return paths | {"superpixels": Path("superpixels"), "classifier": Path("classifier"), "out": Path("new")}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields."""

    def call(**changes: Any) -> Outcome:
        return distill_cams.main(stage_params(distill_cams, NETWORK, **SMALL | changes), **paths)

    return call


def iou(path: Path, name: str, which: int = 0) -> float:
    """IoU of one map's foreground with the square, on the 8x8 grid of the warped image."""
    square = torch.tensor(WORLD.square(name), dtype=torch.float)
    truth = nn.functional.interpolate(square[None, None], (8, 8), mode="area")[0, 0].numpy() > 0.5
    found = activations.Cams(path).cams(name).scores[which] > 0
    return (truth & found).sum() / (truth | found).sum()


@pytest.mark.parametrize("first_labels", ["product", "cam", "norm", "norm_squared"])
@pytest.mark.parametrize("rules", ["foreground", "classes"])
def test_the_whole_square_is_found_from_half_of_it(
    run: Callable, paths: dict[str, Path], first_labels: str, rules: str
) -> None:
    outcome = run(first_labels=first_labels, rules=rules)
    assert np.mean([iou(paths["out"], name) for name in WORLD.names]) > 0.8
    assert outcome.scores["level"] == 1 and 0.1 < outcome.scores["foreground_share"] < 0.4
    assert [row["round"] for row in outcome.curves] == list(range(1, outcome.scores["rounds"] + 1))
    before, after = activations.Cams(paths["cams"]).cams("a"), activations.Cams(paths["out"]).cams("a")
    np.testing.assert_array_equal(after.classes, before.classes)
    np.testing.assert_array_equal(after.features, before.features)
    np.testing.assert_array_equal(after.norm, before.norm)


def test_runs_are_byte_identical_and_leave_no_grids(run: Callable, paths: dict[str, Path], forget: Callable) -> None:
    run()
    written = content(paths["out"])
    run()
    assert content(paths["out"]) == written
    forget()
    run()
    assert content(paths["out"]) == written
    assert Path(".cache").is_dir() and not list(Path(".cache").rglob("*.npy"))


def test_a_refiner_inside_the_rounds(run: Callable, paths: dict[str, Path]) -> None:
    for hold in (False, True):
        scores = run(refiner="grabcut", rounds=2, refined_rounds=2, hold=hold, least_change=0.0).scores
        assert scores["rounds"] == 4 and iou(paths["out"], "b") > 0.8


def test_the_level_that_agrees_with_the_others(run: Callable) -> None:
    scores = run(levels=[1, 2, -1]).scores
    assert scores["level"] in (1, 2)
    assert set(scores) >= {"agreement_level1", "agreement_level2"}


def test_an_entry_of_networks_may_want_other_levels(paths: dict[str, Path], stage_params: Callable) -> None:
    others = {"networks": {NETWORK: {"distill": {"levels": [2]}}}}
    params = stage_params(distill_cams, NETWORK, others=others, **SMALL)
    assert distill_cams.main(params, **paths).scores["level"] == 2


def test_several_and_no_classes(run: Callable, paths: dict[str, Path]) -> None:
    entries = {name: WORLD.entry(name, 1.0, 3.0) for name in WORLD.names}
    one, other = entries["a"], entries["b"]
    twice = np.concatenate([one.scores, np.ones_like(one.scores)])
    entries["a"] = activations.CamEntry(twice, np.array([0, 1]), one.norm, one.features)
    entries["b"] = activations.CamEntry(other.scores[:0], other.classes[:0], other.norm, other.features)
    save_cams(paths["cams"], entries)
    for rules in ("foreground", "classes"):
        run(rules=rules)
        both, none = (activations.Cams(paths["out"]).cams(name).scores for name in ("a", "b"))
        assert both.shape == (2, 8, 8) and none.shape == (0, 8, 8)
        assert iou(paths["out"], "a") > 0.6


def test_divergence_at_once_is_an_error_and_keeps_old_outputs(run: Callable, paths: dict[str, Path]) -> None:
    save_cams(paths["out"], {"old": WORLD.entry("a", 1.0, 3.0)})
    before = content(paths["out"])
    with pytest.raises(UserError, match="nearly all or nearly no cell"):
        run(least_foreground=0.8)
    assert content(paths["out"]) == before


def test_a_broken_classifier_is_named(run: Callable, classifier: Classifier) -> None:
    classifier.head.linear.bias.data[0] = float("nan")
    with pytest.raises(UserError, match=r"weight 'head\.linear\.bias' holds NaN"):
        run()


def test_bad_input(run: Callable) -> None:
    with pytest.raises(UserError, match="level 9 does not exist: this classifier has levels 1 to 3"):
        run(levels=[9])
    with pytest.raises(UserError, match=r"distill_cams\.levels is \[\]"):
        run(levels=[])
    with pytest.raises(UserError, match=r"distill_cams\.first_labels is 'guess'"):
        run(first_labels="guess")
