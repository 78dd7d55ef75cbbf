"""refine_masks on drawn squares: class ids, thresholds, ignore rules, degenerate maps, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages import refine_masks
from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import activations, zips
from weakseg.errors import UserError
from weakseg.harness import params
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.loading import saved_classifier

SECTION = {
    "backbone": "drawn",
    "source": "distilled",
    "threshold_method": "otsu",
    "threshold_scope": "image",
    "pooled_images": 100,
    "refiner": "threshold",
    "second": "threshold",
    "smallest": 0.01,
    "largest": 0.9,
    "otsu": {"tails": 0.0},
    "area": {"share": 0.1},
    "fixed": {"value": 0.9},
    "consistency": {"steps": 3, "tested": 4},
    "threshold": {"band": 0.0},
    "superpixel_vote": {"band": 0.0, "radius": 0},
    "grabcut": {"certain": 2.0, "iterations": 1, "longest": 40, "smallest": 5},
}
SQUARE = np.zeros(drawn_chain.SHAPE, bool)
SQUARE[drawn_chain.SQUARE] = True
TOP = np.zeros(drawn_chain.SHAPE, bool)
TOP[8:16, 12:24] = True


def section(**changes: object) -> refine_masks.Params:
    whole = {"refine_masks": {**SECTION, **changes}}
    return params.check(refine_masks.Params, "refine_masks", whole, Path("params.yaml"))


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """Artifacts of the drawn chain, superpixels that are the square and the rest."""
    found = drawn_chain.write(tmp_path)
    with zips.segments_writer(tmp_path / "superpixels.zip") as writer:
        for name in drawn_chain.IDS:
            writer.add(name, SQUARE)
    found |= {"classifier": tmp_path / "none", "superpixels": tmp_path / "superpixels.zip"}
    return found | {"refined": tmp_path / "r.zip", "out": tmp_path / "p.zip"}


def run(paths: dict[str, Path], **changes: object) -> dict[str, Any]:
    chosen = section(**changes)
    given = {name: paths[name] for name in ("classifier", "images", "labels", "superpixels", "refined", "out")}
    return refine_masks.main(chosen, cams=paths["distilled" if chosen.source == "distilled" else "cams"], **given)


@pytest.mark.parametrize("source", ["distilled", "cams"])
@pytest.mark.parametrize("scope", ["image", "pooled"])
def test_class_ids_and_thresholds(paths: dict[str, Path], source: str, scope: str) -> None:
    metrics = run(paths, source=source, threshold_scope=scope)
    for name in drawn_chain.IDS:
        mask = zips.Masks(paths["out"]).mask(name)
        assert set(np.unique(mask)) == {0, drawn_chain.class_of(name) + 1}
        assert (TOP & (mask > 0)).sum() / (TOP | (mask > 0)).sum() > 0.7
    assert metrics["images"] == 6 and metrics["empty"] == metrics["full"] == metrics["dropped"] == 0


def test_area_prior(paths: dict[str, Path]) -> None:
    run(paths, source="cams", threshold_method="area", area={"share": 0.01})
    assert (zips.Masks(paths["refined"]).mask("a") > 0).mean() < 0.1


def test_fixed_threshold(paths: dict[str, Path]) -> None:
    run(paths, source="cams", threshold_method="fixed", threshold_scope="pooled")
    assert 0 < (zips.Masks(paths["refined"]).mask("a") > 0).mean() < TOP.mean()


def test_classifier_consistency(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(nn.Sequential(nn.AvgPool2d(4)), PooledHead(3, 2), 4, (0.0,) * 3, (1.0,) * 3).eval()
    with torch.no_grad():
        classifier.head.linear.weight.copy_(torch.tensor([[0.0, 50.0, 0.0], [50.0, 0.0, 0.0]]))
        classifier.head.linear.bias.copy_(torch.tensor([0.0, 0.0]))
    header = saved_classifier.Header("drawn", "small", drawn_chain.CLASSES, 40)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (classifier, header))
    run(paths, source="cams", threshold_method="consistency", threshold_scope="pooled")
    mask = zips.Masks(paths["refined"]).mask("a") > 0
    assert (TOP & mask).sum() / (TOP | mask).sum() > 0.7


def test_disagreement_of_two_refiners_is_ignored(paths: dict[str, Path]) -> None:
    metrics = run(paths, second="grabcut")
    whole, kept = (zips.Masks(paths[name]).mask("a") for name in ("refined", "out"))
    assert (whole == 255).sum() == 0 < (kept == 255).sum()
    np.testing.assert_array_equal(whole[kept != 255], kept[kept != 255])
    assert metrics["ignored_share"] > 0


def test_a_band_ignores_in_the_masks_only(paths: dict[str, Path]) -> None:
    run(paths, threshold={"band": 1.0})
    assert (zips.Masks(paths["refined"]).mask("a") != 255).all()
    assert (zips.Masks(paths["out"]).mask("a") == 255).any()


def test_degenerate_maps_are_counted_and_dropped(paths: dict[str, Path], tmp_path: Path) -> None:
    maps = {"a": -4.0, "b": 4.0, "c": None}
    with activations.cams_writer(tmp_path / "cams2.zip") as writer:
        for name in drawn_chain.IDS:
            entry = drawn_chain.entry(name, -4.0, 4.0)
            if name in maps:
                value = maps[name]
                scores = np.full((0 if value is None else 1, 8, 10), value or 0, np.float32)
                entry = activations.CamEntry(scores, entry.classes[: len(scores)], entry.norm, entry.features)
            writer.add(name, entry)
    metrics = run(paths | {"distilled": tmp_path / "cams2.zip"})
    counts = {name: metrics[name] for name in ("empty", "full", "dropped", "without_class")}
    assert counts == {"empty": 1, "full": 1, "dropped": 2, "without_class": 1}
    masks = zips.Masks(paths["out"])
    assert (masks.mask("a") == 255).all() and (masks.mask("b") == 255).all() and (masks.mask("c") == 0).all()
    assert (zips.Masks(paths["refined"]).mask("b") == 2).all()


def test_a_flat_map_is_background(paths: dict[str, Path], tmp_path: Path) -> None:
    with activations.cams_writer(tmp_path / "flat.zip") as writer:
        for name in drawn_chain.IDS:
            writer.add(name, drawn_chain.entry(name, 2.0, 2.0))
    metrics = run(paths | {"cams": tmp_path / "flat.zip"}, source="cams")
    assert metrics["empty"] == metrics["dropped"] == 6


def test_runs_are_byte_identical(paths: dict[str, Path]) -> None:
    found = []
    for _ in range(2):
        run(paths, refiner="grabcut")
        found.append((paths["out"].read_bytes(), paths["refined"].read_bytes()))
    assert found[0] == found[1]


def test_bad_input(paths: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="unknown choice 'magic' for refiners: choose one of dsrg, grabcut"):
        section(refiner="magic")
    with pytest.raises(UserError, match=r"grabcut\.certain is missing"):
        section(refiner="grabcut", grabcut={"iterations": 1, "longest": 40, "smallest": 5})
    with pytest.raises(UserError, match="consistency needs threshold_scope pooled"):
        section(threshold_method="consistency")
    with pytest.raises(UserError, match="source"):
        section(source="guess")
    with activations.cams_writer(paths["distilled"]) as writer:
        writer.add("a", drawn_chain.entry("a", -4.0, 4.0))
    with pytest.raises(UserError, match="has no entry 'b'"):
        run(paths)
    assert not paths["out"].exists() and not paths["refined"].exists()
