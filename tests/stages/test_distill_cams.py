"""distill_cams on drawn squares: half a square as seed, the whole one after; modes, levels, divergence, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages import distill_cams
from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import activations, zips
from weakseg.errors import UserError
from weakseg.harness import params, resume
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.loading import saved_classifier

SECTION = {
    "image_size": 32,
    "batch_size": 4,
    "precision": "fp32",
    "rules": "foreground",
    "seeds": "product",
    "seed_band": 0.1,
    "cells": 48,
    "most_cells": 1000,
    "rounds": 4,
    "covariance_ridge": 0.01,
    "tails": 0.0,
    "band": 0.15,
    "least_change": 0.01,
    "smallest": 0.01,
    "largest": 0.9,
    "refiner": "threshold",
    "refined_rounds": 0,
    "refine_images": 3,
    "hold": False,
    "threshold": {"band": 0.0},
    "grabcut": {"certain": 2.0, "iterations": 1, "longest": 40, "smallest": 5},
    "mobilenet": {"levels": [1]},
}


def section(**changes: object) -> distill_cams.Params:
    whole = {"seed": 1, "distill_cams": {**SECTION, **changes}}
    return params.check(distill_cams.Params, "distill_cams", whole, Path("params.yaml"))


def color_classifier() -> Classifier:
    """Level 1 is color on an 8x8 grid, level 2 the mean color of the image on a 4x4 grid, level 3 is flat."""
    blocks = nn.Sequential(nn.AvgPool2d(4), nn.AvgPool2d(2), nn.AvgPool2d(4))
    return Classifier(blocks, PooledHead(3, 2), 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).eval()


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    header = saved_classifier.Header("drawn", "small", drawn_chain.CLASSES, 32)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (color_classifier(), header))
    monkeypatch.setattr(resume, "ROOT", tmp_path / "cache")
    found = drawn_chain.write(tmp_path)
    with zips.segments_writer(tmp_path / "superpixels.zip") as writer:
        for name in drawn_chain.IDS:
            writer.add(name, np.zeros(drawn_chain.SHAPE, np.uint16))
    (tmp_path / "classifier").write_bytes(b"stands for the weights")
    found |= {"classifier": tmp_path / "classifier", "superpixels": tmp_path / "superpixels.zip"}
    return found | {"out": tmp_path / "new.zip"}


def run(paths: dict[str, Path], **changes: Any) -> tuple[dict[str, float], list[dict[str, float]]]:
    kinds = ("classifier", "cams", "images", "labels", "superpixels", "out")
    return distill_cams.main(section(**changes), backbone="mobilenet", **{name: paths[name] for name in kinds})


def iou(path: Path, name: str, which: int = 0) -> float:
    """IoU of one map's foreground with the square, on the 8x8 grid of the warped image."""
    square = np.zeros(drawn_chain.SHAPE)
    square[drawn_chain.SQUARE] = 1
    truth = nn.functional.interpolate(torch.tensor(square)[None, None], (8, 8), mode="area")[0, 0].numpy() > 0.5
    found = activations.Cams(path).cams(name).scores[which] > 0
    return (truth & found).sum() / (truth | found).sum()


@pytest.mark.parametrize("seeds", ["product", "cam", "norm", "norm_squared"])
@pytest.mark.parametrize("rules", ["foreground", "classes"])
def test_the_whole_square_is_found_from_half_of_it(paths: dict[str, Path], seeds: str, rules: str) -> None:
    metrics, rows = run(paths, seeds=seeds, rules=rules)
    assert np.mean([iou(paths["out"], name) for name in drawn_chain.IDS]) > 0.8
    assert metrics["level"] == 1 and 0.1 < metrics["foreground_share"] < 0.4
    assert [row["round"] for row in rows] == list(range(1, metrics["rounds"] + 1))
    before, after = activations.Cams(paths["cams"]).cams("a"), activations.Cams(paths["out"]).cams("a")
    np.testing.assert_array_equal(after.classes, before.classes)
    np.testing.assert_array_equal(after.features, before.features)
    np.testing.assert_array_equal(after.norm, before.norm)


def test_runs_are_byte_identical_and_leave_no_cache(paths: dict[str, Path], tmp_path: Path) -> None:
    run(paths)
    content = paths["out"].read_bytes()
    run(paths)
    assert paths["out"].read_bytes() == content
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_refiner_inside_the_rounds(paths: dict[str, Path]) -> None:
    for hold in (False, True):
        metrics, _ = run(paths, refiner="grabcut", rounds=2, refined_rounds=2, hold=hold, least_change=0.0)
        assert metrics["rounds"] == 4 and iou(paths["out"], "b") > 0.8


def test_the_level_that_agrees_with_the_others(paths: dict[str, Path]) -> None:
    metrics, _ = run(paths, mobilenet={"levels": [1, 2, -1]})
    assert metrics["level"] in (1, 2)
    assert set(metrics) >= {"agreement_level1", "agreement_level2"}


def test_several_and_no_classes(paths: dict[str, Path], tmp_path: Path) -> None:
    with activations.cams_writer(tmp_path / "several.zip") as writer:
        for name in drawn_chain.IDS:
            entry = drawn_chain.entry(name, 1.0, 3.0)
            if name == "a":
                entry = activations.CamEntry(
                    np.repeat(entry.scores, 2, 0), np.array([0, 1]), entry.norm, entry.features
                )
                entry.scores[1] = 1.0
            if name == "b":
                entry = activations.CamEntry(entry.scores[:0], entry.classes[:0], entry.norm, entry.features)
            writer.add(name, entry)
    for rules in ("foreground", "classes"):
        run(paths | {"cams": tmp_path / "several.zip"}, rules=rules)
        both, none = (activations.Cams(paths["out"]).cams(name).scores for name in ("a", "b"))
        assert both.shape == (2, 8, 8) and none.shape == (0, 8, 8)
        assert iou(paths["out"], "a") > 0.6


def test_divergence_at_once_is_an_error_and_keeps_old_outputs(paths: dict[str, Path]) -> None:
    paths["out"].write_bytes(b"old")
    with pytest.raises(UserError, match="nearly all or nearly no cell"):
        run(paths, smallest=0.8)
    assert paths["out"].read_bytes() == b"old"


def test_a_broken_classifier_is_named(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = color_classifier()
    broken.head.linear.bias.data[0] = float("nan")
    header = saved_classifier.Header("drawn", "small", drawn_chain.CLASSES, 32)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (broken, header))
    with pytest.raises(UserError, match=r"weight 'head\.linear\.bias' holds NaN"):
        run(paths)


def test_bad_input(paths: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="level 9 does not exist: this classifier has levels 1 to 3"):
        run(paths, mobilenet={"levels": [9]})
    with pytest.raises(UserError, match="levels is missing"):
        run(paths, mobilenet={})
    with pytest.raises(UserError, match=r"distill_cams\.seeds"):
        section(seeds="guess")
