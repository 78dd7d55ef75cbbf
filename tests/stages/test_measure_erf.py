"""measure_erf on a small network: every number, its files, any size, the same bytes, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import measure_erf
from tests.world import World
from tests.world_networks import save_classifier
from weakseg.artifacts.formats import labels
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import summary
from weakseg.harness.stage import Outcome

WORLD = World(train=2, val=0, test=4)
SMALL = {"central_size": 48, "central_images": 3, "saliency_size": 40, "saliency_images": 4, "batch_size": 2}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs and outputs by flag."""
    outputs = {"out": Path("erf.npz"), "areas": Path("erf.csv"), "picture": Path("erf.png"), "sizes": Path("sizes.png")}
    classifier = save_classifier(Path("classifier.safetensors"))
    return WORLD.write(workplace, "images", "labels") | outputs | {"classifier": classifier}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields."""
    return lambda **changes: measure_erf.main(stage_params(measure_erf, others={"seed": 1}, **SMALL | changes), **paths)


def test_numbers_and_files(run: Callable, paths: dict[str, Path]):
    outcome = run()
    scores = outcome.scores
    assert outcome.metrics == {"erf": scores["saliency_share"]}
    areas = [scores[f"central_area_{share}"] for share in (20, 30, 50, 99)]
    assert areas == sorted(areas) and areas[0] > 0 and areas[-1] <= 1
    assert scores["images"] == 4 and scores["parameters"] > 0 and scores["flops"] > 0
    assert scores["saliency_share"] == pytest.approx(scores["saliency_pixels"] / 40**2)
    assert {
        "anisotropy",
        "crossness",
        "random_central_area_50",
        "random_saliency_side",
        "central_offset_x",
        "central_log_area_99",
    } <= set(scores)
    with np.load(paths["out"]) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "central_trained": (48, 48),
            "saliency_trained": (40, 40),
            "central_random": (48, 48),
            "saliency_random": (40, 40),
        }
        assert not np.array_equal(arrays["central_trained"], arrays["central_random"])
    table = pd.read_csv(paths["areas"])
    assert list(table["image_id"]) == WORLD.split("test")
    assert table["saliency_pixels"].mean() == scores["saliency_pixels"]
    assert np.allclose(table["saliency_side"] ** 2, table["saliency_pixels"])
    for name, share in (("q5", 0.05), ("q50", 0.5), ("q95", 0.95), ("max", 1.0)):
        assert scores[f"saliency_pixels_{name}"] == table["saliency_pixels"].quantile(share)
    assert paths["sizes"].read_bytes().startswith(b"\x89PNG")


def test_same_input_same_bytes(run: Callable, paths: dict[str, Path]):
    first = run()
    written = [paths[name].read_bytes() for name in ("out", "areas", "picture", "sizes")]
    assert run() == first
    assert [paths[name].read_bytes() for name in ("out", "areas", "picture", "sizes")] == written


def test_any_size_and_batch(run: Callable):
    one = run(central_size=45, batch_size=1).scores
    other = run(central_size=45, batch_size=3).scores
    assert one["central_area_50"] == other["central_area_50"]
    assert one["saliency_pixels"] == pytest.approx(other["saliency_pixels"], rel=0.02)


def test_numbers_out_of_range_are_refused_before_anything_runs(run: Callable):
    for changes in ({"saliency_share": 1.0}, {"saliency_images": 0}, {"central_images": 0}):
        with pytest.raises(UserError, match=f"measure_erf.{next(iter(changes))}.*should be (greater|less) than"):
            run(**changes)


def test_bad_input_is_refused(run: Callable, paths: dict[str, Path]):
    with pytest.raises(UserError, match="smaller than the network's stride"):
        run(central_size=4)
    labels.save_labels(paths["labels"], labels.load_labels(paths["labels"]).iloc[:0])
    with pytest.raises(UserError, match="there is no image to measure on"):
        run()


def test_headline_is_the_share_of_the_image():
    assert summary.headline({"saliency_share": 0.25, "saliency_pixels": 400.0}) == {"erf": 0.25}
    assert summary.headline({}) == {}
