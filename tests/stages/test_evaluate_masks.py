"""evaluate_masks on drawn squares: known values of every step, both kinds of target, and what a user can get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import evaluate_masks
from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import zips
from weakseg.errors import UserError
from weakseg.harness import params
from weakseg.networks import saved_segmenter

SECTION = {
    "images": 0,
    "batch_size": 2,
    "precision": "fp32",
    "tails": 0.0,
    "sigma": 0.25,
    "square": 16,
    "batch": 32,
    "replicates": 20,
    "tolerance": 0.01,
    "pictures": 3,
}
OUTPUTS = {"protocols": "protocols.csv", "classes": "classes.csv", "worst": "worst.png", "random": "random.png"}
INSIDE, DECIDED = 16 * 16, 32 * 40 - (20 * 20 - 16 * 16)


def section(**changes: object) -> evaluate_masks.Params:
    whole = {"seed": 1, "evaluate_masks": {**SECTION, **changes}}
    return params.check(evaluate_masks.Params, "evaluate_masks", whole, Path("params.yaml"))


def evaluate(folder: Path, paths: dict[str, Path], **changes: object) -> tuple[dict, pd.DataFrame]:
    outputs = {name: folder / file for name, file in OUTPUTS.items()}
    metrics, rows = evaluate_masks.main(section(**changes), **paths, **outputs)
    return metrics, pd.DataFrame(rows).set_index(["split", "step"])


@pytest.fixture(params=[False, True], ids=["binary", "classes"])
def per_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(saved_segmenter, "load", lambda path: drawn_chain.segmenter(request.param))
    return request.param


@pytest.fixture
def sees_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_segmenter, "load", lambda path: drawn_chain.segmenter())


def test_every_step_has_its_known_score(tmp_path: Path, per_class: bool):
    metrics, rows = evaluate(tmp_path, drawn_chain.write(tmp_path))
    empty = (DECIDED - INSIDE) / DECIDED / 2
    assert rows.loc[("train", "all_background"), "miou"] == pytest.approx(empty)
    assert rows.loc[("train", "all_foreground"), "miou"] == pytest.approx(INSIDE / DECIDED / 2)
    for step in ("refined", "pseudomasks", "round0", "round1", "control"):
        assert rows.loc[("test", step), "miou"] == 1
    assert rows.loc[("train", "pseudomasks"), "kept"] == 1
    assert metrics["test_segmenter_miou"] == metrics["test_segmenter_of_control"] == 1
    assert metrics["test_seed_miou"] < 1 and 0.5 < metrics["test_distilled_miou"] < 1
    assert metrics["test_seed_oracle_miou"] >= metrics["test_seed_miou"] - 1e-3
    assert ("class_miou" in rows) is per_class
    if per_class:
        assert rows.loc[("train", "refined"), "class_miou"] == 1
        assert rows.loc[("train", "all_foreground"), "class_miou"] < 0.2


def test_images_without_mask_are_counted(tmp_path: Path, sees_color: None):
    metrics, rows = evaluate(tmp_path, drawn_chain.write(tmp_path, ("b", "e")))
    assert [metrics[f"{split}_{kind}_mask"] for split in ("train", "test") for kind in ("with", "without")] == [
        3,
        1,
        1,
        1,
    ]
    assert rows.loc[("train", "seed"), "images"] == 3 and rows.loc[("test", "seed"), "images"] == 1
    assert (metrics["train_with_head"], metrics["test_with_head"]) == (1, 1)


def test_heads_are_found_before_bodies(tmp_path: Path, sees_color: None):
    metrics, rows = evaluate(tmp_path, drawn_chain.write(tmp_path))
    seed = rows.loc[("test", "seed")]
    assert seed["head_area"] == pytest.approx(1 / 4)
    assert seed["head_recall"] > seed["body_recall"] and seed["head_share"] > 1 / 4
    assert metrics["test_segmenter_head_recall"] == metrics["test_segmenter_body_recall"] == 1


def test_a_split_without_masks_is_left_out(tmp_path: Path, sees_color: None):
    metrics, rows = evaluate(tmp_path, drawn_chain.write(tmp_path, ("e", "f")))
    assert set(rows.index.get_level_values("split")) == {"train"}
    assert metrics["test_without_mask"] == 2 and "test_segmenter_miou" not in metrics


def test_a_cap_spreads_evenly(tmp_path: Path, sees_color: None):
    _, rows = evaluate(tmp_path, drawn_chain.write(tmp_path, ()), images=2)
    assert set(rows["images"]) == {2}


def test_outputs_are_complete_and_the_same_twice(tmp_path: Path, sees_color: None):
    paths = drawn_chain.write(tmp_path)
    evaluate(tmp_path, paths)
    first = {name: (tmp_path / file).read_bytes() for name, file in OUTPUTS.items()}
    evaluate(tmp_path, paths)
    assert first == {name: (tmp_path / file).read_bytes() for name, file in OUTPUTS.items()}
    protocols = pd.read_csv(tmp_path / "protocols.csv")
    assert len(protocols) == 2 * 12 * 24
    assert set(protocols.columns) == {"split", "step", "average", "border", "size", "miou"}


def test_no_mask_at_all_is_one_sentence(tmp_path: Path, sees_color: None):
    paths = drawn_chain.write(tmp_path, tuple(drawn_chain.IDS))
    with pytest.raises(UserError, match="holds no mask of a listed image"):
        evaluate(tmp_path, paths)


def test_a_mask_of_another_size_is_named(tmp_path: Path, sees_color: None):
    paths = drawn_chain.write(tmp_path)
    with zips.mask_writer(paths["masks"]) as writer:
        writer.add("a", np.zeros((5, 4), np.uint8))
    with pytest.raises(UserError, match="mask 'a' has 4x5 pixels but its image 40x32"):
        evaluate(tmp_path, paths)


def test_no_segmenter_is_one_sentence(tmp_path: Path, sees_color: None):
    paths = drawn_chain.write(tmp_path)
    (paths["control"] / "round0.safetensors").unlink()
    with pytest.raises(UserError, match="holds no round"):
        evaluate(tmp_path, paths)
