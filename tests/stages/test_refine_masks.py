"""refine_masks on drawn squares: class ids, thresholds, ignore rules, degenerate maps, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages import refine_masks
from tests.contents import content
from tests.world import SIDE, World, save_cams, save_segments
from tests.world_networks import SEES_COLOR, color_classifier
from weakseg.artifacts import activations
from weakseg.artifacts.formats import masks
from weakseg.errors import UserError
from weakseg.networks.loading import saved_classifier

WORLD = World()
SMALL = {"refiner": "threshold", "second": "threshold", "most_foreground": 0.9}
OPTIONS = {
    "area": {"share": 0.01},
    "fixed": {"value": 0.9},
    "consistency": {"steps": 3, "tested": 4},
    "grabcut": {"iterations": 1, "longest": 40, "smallest": 5},
}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Maps that find the upper half of the square, superpixels that are the square and the rest."""
    paths = WORLD.write(workplace, "cams", "distilled", "images", "labels")
    save_segments(Path("superpixels"), {name: WORLD.square(name) for name in WORLD.names})
    outputs = {"refined": Path("r"), "out": Path("p"), "pictures": Path("s.png")}
    return paths | outputs | {"classifier": Path("none"), "superpixels": Path("superpixels")}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., dict[str, Any]]:
    """The stage with changed fields; its scores."""

    def call(**changes: Any) -> dict[str, Any]:
        chosen = stage_params(refine_masks, **{**SMALL, "options": OPTIONS, **changes})
        given = {name: path for name, path in paths.items() if name not in ("cams", "distilled")}
        return refine_masks.main(chosen, cams=paths[chosen.source], **given).scores

    return call


def mask(path: Path, name: str = "a") -> np.ndarray:
    return masks.Masks(path).mask(name)


def iou(path: Path, name: str) -> float:
    """Of a mask's foreground and the half of the square that the maps find."""
    found, half = mask(path, name) > 0, WORLD.square(name, height=SIDE // 2)
    return (half & found).sum() / (half | found).sum()


@pytest.mark.parametrize("source", ["distilled", "cams"])
@pytest.mark.parametrize("scope", ["image", "pooled"])
def test_class_ids_and_thresholds(run: Callable, paths: dict[str, Path], source: str, scope: str) -> None:
    scores = run(source=source, threshold_scope=scope)
    for name in WORLD.names:
        assert set(np.unique(mask(paths["out"], name))) == {0, WORLD.class_of(name) + 1}
        assert iou(paths["out"], name) > 0.7
    assert scores["images"] == 6 and scores["empty"] == scores["full"] == scores["dropped"] == 0


def test_area_prior(run: Callable, paths: dict[str, Path]) -> None:
    run(source="cams", threshold_method="area")
    assert (mask(paths["refined"]) > 0).mean() < 0.1


def test_fixed_threshold(run: Callable, paths: dict[str, Path]) -> None:
    run(source="cams", threshold_method="fixed", threshold_scope="pooled")
    assert 0 < (mask(paths["refined"]) > 0).mean() < WORLD.square("a", height=SIDE // 2).mean()


def test_classifier_consistency(run: Callable, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_classifier, "load", lambda path: (color_classifier(sureness=50.0), SEES_COLOR))
    run(source="cams", threshold_method="consistency", threshold_scope="pooled")
    assert iou(paths["refined"], "a") > 0.7


def test_disagreement_of_two_refiners_is_ignored(run: Callable, paths: dict[str, Path]) -> None:
    scores = run(second="grabcut")
    whole, kept = mask(paths["refined"]), mask(paths["out"])
    assert (whole == 255).sum() == 0 < (kept == 255).sum()
    np.testing.assert_array_equal(whole[kept != 255], kept[kept != 255])
    assert scores["ignored_share"] > 0


def test_a_band_ignores_in_the_masks_only(run: Callable, paths: dict[str, Path]) -> None:
    run(options={"threshold": {"band": 1.0}})
    assert (mask(paths["refined"]) != 255).all()
    assert (mask(paths["out"]) == 255).any()


def test_degenerate_maps_are_counted_and_dropped(run: Callable, paths: dict[str, Path]) -> None:
    entries = {name: WORLD.entry(name, -4.0, 4.0) for name in WORLD.names}
    entries |= {"a": WORLD.entry("a", -4.0, -4.0), "b": WORLD.entry("b", 4.0, 4.0)}
    third = entries["c"]
    entries["c"] = activations.CamEntry(third.scores[:0], third.classes[:0], third.norm, third.features)
    save_cams(paths["distilled"], entries)
    scores = run()
    counts = {name: scores[name] for name in ("empty", "full", "dropped", "without_class")}
    assert counts == {"empty": 1, "full": 1, "dropped": 2, "without_class": 1}
    assert [np.unique(mask(paths["out"], name)).tolist() for name in "abc"] == [[255], [255], [0]]
    assert (mask(paths["refined"], "b") == 2).all()


def test_a_flat_map_is_background(run: Callable, paths: dict[str, Path]) -> None:
    save_cams(paths["cams"], {name: WORLD.entry(name, 2.0, 2.0) for name in WORLD.names})
    scores = run(source="cams")
    assert scores["empty"] == scores["dropped"] == 6


def test_pictures_of_training_images(run: Callable, paths: dict[str, Path]) -> None:
    """Taller with every image, whatever is drawn the masks are the same, and no images are one pixel."""
    found = {}
    for count in (0, 1, 2, 99):
        run(pictures=count)
        found[count] = Image.open(paths["pictures"]).size, content(paths["out"])
    sizes = {count: size for count, (size, _) in found.items()}
    assert sizes[0] == (1, 1) and sizes[1][1] < sizes[2][1] < sizes[99][1] and sizes[1][0] == sizes[99][0]
    assert all(masks == found[0][1] for _, masks in found.values())


def test_runs_are_byte_identical(run: Callable, paths: dict[str, Path]) -> None:
    found = []
    for _ in range(2):
        run(refiner="grabcut")
        found.append([content(paths[name]) for name in ("out", "refined", "pictures")])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"refiner": "magic"}, "unknown choice 'magic' for refiners: choose one of dsrg, grabcut"),
        ({"threshold_method": "consistency"}, "consistency needs threshold_scope pooled"),
        ({"source": "guess"}, r"refine_masks\.source is 'guess'"),
        ({"refiner": "grabcut", "options": {"grabcut": {"certainty": 2.0}}}, r"grabcut\.certainty is unknown"),
    ],
)
def test_bad_parameters(run: Callable, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        run(**changes)


def test_an_image_without_map_is_named_and_nothing_is_written(run: Callable, paths: dict[str, Path]) -> None:
    save_cams(paths["distilled"], {"a": WORLD.entry("a", -4.0, 4.0)})
    with pytest.raises(UserError, match="has no entry 'b'"):
        run()
    assert not paths["out"].exists() and not paths["refined"].exists()
