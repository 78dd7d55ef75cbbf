"""evaluate_masks on drawn squares: known values of every step, both kinds of target, and what a user can get wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages import evaluate_masks
from tests.world import World, save_masks
from tests.world_networks import color_segmenter, save_segmenter
from weakseg.errors import UserError
from weakseg.networks.segmentation import saved_segmenter

KINDS = ("images", "labels", "masks", "parts", "cams", "distilled", "refined", "pseudomasks")
TABLES = ("steps", "protocols", "classes")
OUTPUTS = {name: f"{name}.csv" for name in TABLES} | {name: f"{name}.png" for name in ("worst", "random")}
SMALL = {"most_images": 0, "batch_size": 2, "square": 16, "replicates": 20, "tolerance": 0.01, "pictures": 3}
INSIDE, DECIDED = 16 * 16, 32 * 40 - (20 * 20 - 16 * 16)


@pytest.fixture(params=[False])
def per_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the segmenters, which see color, tell the classes apart."""
    monkeypatch.setattr(saved_segmenter, "load", lambda path: color_segmenter(request.param))
    return request.param


@pytest.fixture
def write(workplace: Path, per_class: bool) -> Callable[..., dict[str, Path]]:
    """Write what the stage reads, without the masks of some images."""

    def call(*without_mask: str) -> dict[str, Path]:
        segmenter = save_segmenter(Path("segmenter"), 2, per_class)
        control = save_segmenter(Path("control"), 1, per_class)
        return World(without_mask=without_mask).write(workplace, *KINDS) | {"segmenter": segmenter, "control": control}

    return call


@pytest.fixture
def evaluate(stage_params: Callable) -> Callable[..., tuple[dict, pd.DataFrame]]:
    """The stage with changed fields: its scores, and the steps' figures by split and step."""

    def call(paths: dict[str, Path], **changes: Any) -> tuple[dict, pd.DataFrame]:
        outputs = {name: Path(file) for name, file in OUTPUTS.items()}
        outcome = evaluate_masks.main(stage_params(evaluate_masks, **SMALL | changes), **paths, **outputs)
        assert set(outcome.metrics.values()) <= set(outcome.scores.values())
        return outcome.scores, pd.read_csv("steps.csv").set_index(["split", "step"])

    return call


@pytest.mark.parametrize("per_class", [False, True], ids=["binary", "classes"], indirect=True)
def test_every_step_has_its_known_score(write: Callable, evaluate: Callable, per_class: bool):
    scores, rows = evaluate(write("b"))
    empty, full = (DECIDED - INSIDE) / DECIDED, INSIDE / DECIDED
    ids, right = (3, 2) if per_class else (2, 1)  # each image has one class: the baselines are told which
    assert rows.loc[("train", "all_background"), "miou"] == pytest.approx(empty / ids)
    assert rows.loc[("train", "all_foreground"), "miou"] == pytest.approx(full * right / ids)
    for step in ("refined", "pseudomasks", "round0", "round1", "control"):
        assert rows.loc[("test", step), "miou"] == 1
    assert rows.loc[("train", "pseudomasks"), "kept"] == 1
    assert scores["test_segmenter_miou"] == scores["test_segmenter_of_control"] == 1
    assert scores["test_seed_miou"] < 1 and 0.5 < scores["test_distilled_miou"] < 1
    assert scores["test_seed_oracle_miou"] >= scores["test_seed_miou"] - 1e-3
    assert ("foreground_miou" in rows) is per_class
    if per_class:
        assert rows.loc[("train", "refined"), "foreground_miou"] == 1
        assert rows.loc[("train", "all_foreground"), "foreground_miou"] == pytest.approx(full / 2)


def test_images_without_mask_are_counted(write: Callable, evaluate: Callable):
    scores, rows = evaluate(write("b", "e"))
    assert [scores[f"{split}_{kind}_mask"] for split in ("train", "test") for kind in ("with", "without")] == [
        3,
        1,
        1,
        1,
    ]
    assert rows.loc[("train", "seed"), "images"] == 3 and rows.loc[("test", "seed"), "images"] == 1
    assert (scores["train_with_head"], scores["test_with_head"]) == (1, 1)


def test_heads_are_found_before_bodies(write: Callable, evaluate: Callable):
    scores, rows = evaluate(write("b"))
    seed = rows.loc[("test", "seed")]
    assert seed["head_area"] == pytest.approx(1 / 4)
    assert seed["head_recall"] > seed["body_recall"] and seed["head_share"] > 1 / 4
    assert scores["test_segmenter_head_recall"] == scores["test_segmenter_body_recall"] == 1


def test_a_split_without_masks_is_left_out(write: Callable, evaluate: Callable):
    scores, rows = evaluate(write("e", "f"))
    assert set(rows.index.get_level_values("split")) == {"train"}
    assert scores["test_without_mask"] == 2 and "test_segmenter_miou" not in scores


def test_a_cap_spreads_evenly(write: Callable, evaluate: Callable):
    _, rows = evaluate(write(), most_images=2)
    assert set(rows["images"]) == {2}


def test_outputs_are_complete_and_the_same_twice(write: Callable, evaluate: Callable):
    paths = write("b")
    evaluate(paths)
    first = {name: Path(file).read_bytes() for name, file in OUTPUTS.items()}
    evaluate(paths)
    assert first == {name: Path(file).read_bytes() for name, file in OUTPUTS.items()}
    protocols = pd.read_csv("protocols.csv")
    assert len(protocols) == 2 * 12 * 24
    assert set(protocols.columns) == {"split", "step", "average", "border", "size", "miou"}


def test_no_mask_at_all_is_one_sentence(write: Callable, evaluate: Callable):
    paths = write(*World().names)
    with pytest.raises(UserError, match="holds no mask of a listed image"):
        evaluate(paths)


def test_a_mask_of_another_size_is_named(write: Callable, evaluate: Callable):
    paths = write("b")
    save_masks(paths["masks"], {"a": np.zeros((5, 4), np.uint8)})
    with pytest.raises(UserError, match="mask 'a' has 4x5 pixels but its image 40x32"):
        evaluate(paths)


def test_no_segmenter_is_one_sentence(write: Callable, evaluate: Callable):
    paths = write("b")
    (paths["control"] / "round0.safetensors").unlink()
    with pytest.raises(UserError, match="holds no round"):
        evaluate(paths)
