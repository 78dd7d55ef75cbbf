"""compare_erf on made-up networks: the fit by hand, the refusal under five, and the regression over images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages import compare_erf
from tests.parameters import entries
from weakseg.artifacts.formats import tables
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import compare
from weakseg.harness import files
from weakseg.harness.stage import Outcome

OUTPUTS = {"table": "table.csv", "images": "images.csv", "scatter": "scatter.png"}
NETWORKS = ("resnet", "mobilenet", "convnext", "replknet", "slak")


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """MaxBoxAcc is 0.1 + 0.01 x side over networks, and falls with the side over the images of each."""
    folders = {name: workplace / name for name in ("fields", "boxes", "areas", "overlaps")}
    generator = np.random.default_rng(0)
    for number, name in enumerate(NETWORKS):
        side = 20.0 + 10 * number
        receptive = dict.fromkeys(compare.ERF_COLUMNS, 0.1) | {"saliency_side": side, "parameters": 10**6}
        save_scores(folders["fields"] / f"{name}.csv", receptive)
        found = dict.fromkeys(compare.BOX_COLUMNS, 0.02) | {"max_box_acc": 0.1 + 0.01 * side, "images": 30}
        save_scores(folders["boxes"] / f"{name}.csv", found)
        offset = generator.normal(size=30)
        ids = [f"image{place:02d}" for place in range(30)]
        files.save_csv(
            folders["areas"] / f"{name}.csv", pd.DataFrame({"image_id": ids, "saliency_side": side + offset})
        )
        rows = {"image_id": ids[5:], "iou_label_free": 0.01 * side - 0.05 * offset[5:]}
        files.save_csv(folders["overlaps"] / f"{name}.csv", pd.DataFrame(rows))
    return folders | {name: Path(file) for name, file in OUTPUTS.items()}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage for some of the networks, with changed fields."""

    def call(*networks: str, **changes: Any) -> Outcome:
        others = {"seed": 1, "networks": entries(*(networks or NETWORKS))}
        small = {"fit": "models", "measure": "saliency_side", "resamples": 199}
        return compare_erf.main(stage_params(compare_erf, others=others, **small | changes), **paths)

    return call


def save_scores(path: Path, scores: dict[str, Any]) -> None:
    files.save_csv(path, [{"name": name, "value": value} for name, value in scores.items()])


def test_fit_between_networks_and_over_images(run: Callable, paths: dict[str, Path]):
    outcome = run()
    scores = outcome.scores
    assert scores["models"] == 5 and scores["slope"] == pytest.approx(0.01)
    assert scores["pearson"] == scores["spearman"] == scores["r2"] == pytest.approx(1)
    assert scores["pearson_p"] == pytest.approx(2 / 120)
    assert outcome.metrics == {"r": scores["pearson"]}
    assert [row["network"] for row in outcome.curves] == list(NETWORKS)
    assert scores["images_pearson"] == pytest.approx(-1) and scores["images"] == 125
    assert scores["images_slope"] == pytest.approx(-0.05)
    table = pd.read_csv(paths["table"])
    assert tuple(table["network"]) == NETWORKS
    assert {"saliency_side", "max_box_acc", "accuracy", "parameters", "flops"} <= set(table)
    rows = pd.read_csv(paths["images"])
    assert tuple(rows["network"]) == NETWORKS and np.allclose(rows["slope"], -0.05) and (rows["images"] == 25).all()


def test_same_input_same_bytes(run: Callable, paths: dict[str, Path]):
    first = run()
    written = [paths[name].read_bytes() for name in OUTPUTS]
    assert run() == first
    assert [paths[name].read_bytes() for name in OUTPUTS] == written


def test_two_networks_are_refused_and_their_images_offered(run: Callable, paths: dict[str, Path]):
    with pytest.raises(UserError, match=r"at least 5 models and there are 2.*choose images"):
        run(*NETWORKS[:2])
    assert not paths["table"].exists()
    outcome = run(*NETWORKS[:2], fit="images")
    scores = outcome.scores
    assert scores["models"] == 2 and "pearson" not in scores and scores["images_slope"] == pytest.approx(-0.05)
    assert outcome.metrics == {"r_images": scores["images_pearson"]}


def test_networks_that_score_the_same_have_no_correlation(run: Callable, paths: dict[str, Path]):
    for name in NETWORKS:
        path = paths["boxes"] / f"{name}.csv"
        save_scores(path, tables.load_scores(path) | {"max_box_acc": 0.5})
    assert "pearson" not in run().scores


def test_few_common_images(run: Callable, paths: dict[str, Path]):
    for name in NETWORKS:
        path = paths["overlaps"] / f"{name}.csv"
        files.save_csv(path, pd.read_csv(path).iloc[:0])
    scores = run().scores
    assert scores["images"] == 0 and "images_pearson" not in scores
    assert compare.headline({"models": 2, "images": 0}) == {}


def test_bad_input(run: Callable, paths: dict[str, Path]):
    with pytest.raises(UserError, match=r"compare_erf\.measure is 'kernel': Input should be 'saliency_share'"):
        run(measure="kernel")
    (paths["fields"] / "slak.csv").unlink()
    with pytest.raises(UserError, match=r"slak.csv does not exist"):
        run()
