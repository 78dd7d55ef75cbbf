"""Every refiner: shape, values, order of maps, degenerate input; then what each alone promises."""

from __future__ import annotations

import inspect
import tracemalloc
from typing import Any

import numpy as np
import pytest

from weakseg.data import grids
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.masks import superpixels
from weakseg.masks.refiners import dsrg, guided_filter, pixel_adaptive, random_walk, region_grow
from weakseg.masks.refining import image_regression, seeded_grabcut

OPTIONS: dict[str, dict[str, Any]] = {
    "threshold": {"band": 0.0},
    "superpixel_vote": {"band": 0.0, "radius": 1},
    "grabcut": {"certain": 2.0, "iterations": 2, "longest": 64, "smallest": 10},
    "region_grow": {"rounds": 5, "strictness": 0.5, "relaxation": 0.05, "lowest": 0.1, "highest": 0.9, "certain": 0.0},
    "dsrg": {"foreground": 0.6, "background": 0.6, "seed": 0.8, "longest": 64},
    "random_walk": {"band": 0.0, "restart": 0.2, "color": 1.0, "feature": 1.0, "longest": 64},
    "guided_filter": {"band": 0.0, "radius": 3, "smoothness": 1e-3, "longest": 64},
    "pixel_adaptive": {"band": 0.0, "iterations": 4, "dilations": [1, 2, 4], "sharpness": 10.0, "longest": 64},
    "ridge": {"band": 0.0, "penalty": 0.01, "longest": 32},
    "ridge_grabcut": {"penalty": 0.01, "grid": 32, "certain": 2.0, "iterations": 1, "longest": 64, "smallest": 10},
}
TRUTH = np.zeros((48, 64), bool)
TRUTH[12:40, 20:52] = True
RNG = np.random.default_rng(0)
IMAGE = np.where(TRUTH[..., None], (200, 90, 60), (40, 110, 150)).astype(np.uint8)
IMAGE = np.clip(IMAGE + RNG.integers(-12, 12, IMAGE.shape), 0, 255).astype(np.uint8)
SEGMENTS = superpixels.slic(IMAGE, count=60, compactness=10.0, longest=64)


def scores() -> np.ndarray:
    """(1,6,8) logits that miss the object's right part and spill over its left."""
    shifted = np.roll(TRUTH, -5, axis=1)[None].astype(np.float32)
    return (grids.resize(shifted, (6, 8)) * 8 - 4).astype(np.float32)


def features() -> np.ndarray:
    """(3,12,16) features that follow the object."""
    planes = np.stack([TRUTH, ~TRUTH, np.zeros_like(TRUTH)]).astype(np.float32)
    return grids.resize(planes, (12, 16)) + 0.01 * np.random.default_rng(1).normal(size=(3, 12, 16)).astype(np.float32)


def refined(name: str, maps: np.ndarray, image: np.ndarray = IMAGE, segments: np.ndarray = SEGMENTS, **changes: Any):
    refine = choices.load("refiners", name).refine
    decide_all = changes.pop("decide_all", False)
    return refine(maps, image, segments, features(), threshold=0.0, decide_all=decide_all, **OPTIONS[name] | changes)


def iou(mask: np.ndarray) -> float:
    return (TRUTH & (mask == 1)).sum() / (TRUTH | (mask == 1)).sum()


def test_the_sweep_covers_every_refiner() -> None:
    assert sorted(OPTIONS) == choices.names("refiners")
    for name, options in OPTIONS.items():
        assert set(choices.option_types("refiners", name, "refine", ("threshold", "decide_all"))) == set(options)
        arguments = list(inspect.signature(choices.load("refiners", name).refine).parameters)
        assert arguments[:6] == ["scores", "image", "segments", "features", "threshold", "decide_all"]


@pytest.mark.parametrize("name", OPTIONS)
def test_shape_values_and_determinism(name: str) -> None:
    maps = scores()
    kept = maps.copy()
    one, two = refined(name, maps), refined(name, maps)
    assert one.shape == TRUTH.shape and one.dtype == np.uint8 and set(np.unique(one)) <= {0, 1, 255}
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(maps, kept)


@pytest.mark.parametrize("name", ["grabcut", "random_walk", "ridge", "ridge_grabcut", "pixel_adaptive"])
def test_it_pays_where_the_image_is_easy(name: str) -> None:
    assert iou(refined(name, scores())) > iou(refined("threshold", scores())) + 0.02


@pytest.mark.parametrize("name", OPTIONS)
def test_permuted_maps_permute_the_mask(name: str) -> None:
    left = scores()[0] - 0.5
    right = -scores()[0] - 1.5
    one, two = refined(name, np.stack([left, right])), refined(name, np.stack([right, left]))
    assert set(np.unique(one)) <= {0, 1, 2, 255} and (one == 1).any()
    swapped = np.array([0, 2, 1, *[255] * 253], np.uint8)[two]
    assert (one == swapped).mean() > 0.98


@pytest.mark.parametrize("name", OPTIONS)
def test_no_class_means_background(name: str) -> None:
    assert (refined(name, np.zeros((0, 6, 8), np.float32)) == 0).all()


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "dsrg"])
@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_all_or_nothing_stays_so(name: str, value: float) -> None:
    mask = refined(name, np.full((1, 6, 8), value, np.float32))
    assert (mask == (value > 0)).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_one_pixel_image(name: str) -> None:
    image, segments = np.full((1, 1, 3), 90, np.uint8), np.zeros((1, 1), np.uint16)
    assert refined(name, np.full((1, 2, 2), 5.0, np.float32), image, segments).shape == (1, 1)


@pytest.mark.parametrize("name", [name for name, options in OPTIONS.items() if "band" in options])
def test_a_wider_band_ignores_more(name: str) -> None:
    shares = [(refined(name, scores(), band=band) == 255).mean() for band in (0.0, 0.5, 1.5)]
    assert shares[0] == 0 and shares[0] <= shares[1] <= shares[2] and shares[2] > 0


WIDE: dict[str, dict[str, Any]] = {name: {"band": 1.5} for name, options in OPTIONS.items() if "band" in options}
WIDE["superpixel_vote"]["radius"] = 0  # opening and closing cross the border of what was decided
WIDE["dsrg"] = {"seed": 0.999}


@pytest.mark.parametrize("name", OPTIONS)
def test_decide_all_decides_every_pixel_and_keeps_what_was_decided(name: str) -> None:
    maps = np.stack([scores()[0] - 0.5, -scores()[0] - 1.5]) / 2
    changes = WIDE.get(name, {})
    some, every = refined(name, maps, **changes), refined(name, maps, decide_all=True, **changes)
    assert (every != 255).all() and (some == 255).any() == (name in WIDE)
    np.testing.assert_array_equal(every[some != 255], some[some != 255])


@pytest.mark.parametrize("name", OPTIONS)
def test_the_threshold_is_an_offset(name: str) -> None:
    refine = choices.load("refiners", name).refine
    moved = refine(scores() + 1.5, IMAGE, SEGMENTS, features(), threshold=1.5, decide_all=False, **OPTIONS[name])
    assert (moved == refined(name, scores())).mean() > 0.99


def test_vote_paints_whole_superpixels() -> None:
    mask = refined("superpixel_vote", scores(), radius=0)
    assert all(len(np.unique(mask[one == SEGMENTS])) == 1 for one in np.unique(SEGMENTS))


def test_grabcut_seeds_by_hand() -> None:
    np.testing.assert_array_equal(seeded_grabcut.mark_seeds(np.array([[-3.0, -1, 1, 3]]), 2.0), [[0, 2, 3, 1]])


def test_grabcut_keeps_the_scores_where_a_side_is_tiny() -> None:
    maps = np.full((1, 48, 64), -5, np.float32)
    maps[0, :2, :2] = 5
    mask = refined("grabcut", maps, smallest=10)
    np.testing.assert_array_equal(mask, maps[0] > 0)


def test_random_walk_is_a_distribution_and_restart_1_is_the_vote() -> None:
    step = random_walk.transition(SEGMENTS, [IMAGE.transpose(2, 0, 1).astype(float)], [1.0])
    np.testing.assert_allclose(np.asarray(step.sum(1)).ravel(), 1)
    start = np.random.default_rng(1).dirichlet([1, 1], step.shape[0])
    np.testing.assert_allclose(random_walk.walk(start, step, 0.1).sum(1), 1)
    series = sum(0.5 * (0.5**n) * np.linalg.matrix_power(step.toarray(), n) @ start for n in range(60))
    np.testing.assert_allclose(random_walk.walk(start, step, 0.5), series, atol=1e-9)
    np.testing.assert_allclose(random_walk.walk(start, step, 1.0), start)


def test_guided_filter_of_a_flat_guide_is_a_double_mean_and_of_itself_keeps_edges() -> None:
    plane = np.random.default_rng(2).random((20, 20)).astype(np.float32)
    flat = guided_filter.filter_plane(plane, np.full_like(plane, 0.5), 2, 1e-2)
    np.testing.assert_allclose(flat, guided_filter.mean(guided_filter.mean(plane, 2), 2), atol=1e-4)
    edge = TRUTH.astype(np.float32)
    np.testing.assert_allclose(guided_filter.filter_plane(edge, edge, 2, 1e-6), edge, atol=1e-2)


def test_pixel_adaptive_kernel_sums_to_one_and_prefers_like_neighbors() -> None:
    image = np.where(TRUTH, 1.0, 0.0)[None].repeat(3, 0).astype(np.float32)
    weights = pixel_adaptive.weigh_neighbors(image, [1], 10.0)
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-5)
    left = pixel_adaptive.OFFSETS.index((0, -1))
    right = pixel_adaptive.OFFSETS.index((0, 1))
    assert weights[left, 25, 20] < 1e-6 < weights[right, 25, 20]


def test_ridge_equals_the_closed_form_and_ignores_constant_rows() -> None:
    rng = np.random.default_rng(3)
    rows, targets = rng.normal(size=(3, 50)), rng.normal(size=(2, 50))
    expected = targets @ rows.T @ np.linalg.inv(rows @ rows.T + 50 * 0.1 * np.eye(3)) @ rows
    np.testing.assert_allclose(image_regression.fit_and_read(rows, targets, 0.1), expected, atol=1e-10)
    np.testing.assert_array_equal(image_regression.standardize(np.full((1, 4), 7.0))[0], 0)


def test_region_growing_by_hand() -> None:
    planes = np.zeros((2, 1, 5), np.float32)
    planes[0, 0, :3], planes[1, 0, 3:] = 1, 1
    region = np.array([[True, False, False, False, False]])
    once, likeness = region_grow.grow(region, planes, 0.0)
    np.testing.assert_array_equal(once, [[True, True, False, False, False]])
    np.testing.assert_allclose(likeness, [[1, 1, 1, 0, 0]])
    twice, _ = region_grow.grow(region_grow.grow(once, planes, 0.0)[0], planes, 0.0)
    np.testing.assert_array_equal(twice, [[True, True, True, False, False]])


def test_region_growing_is_soft_and_ignores_what_it_is_not_certain_of() -> None:
    planes = features()
    won, certainty = region_grow.compete(np.stack([scores()[0], -scores()[0]]), planes, 0.0, [0.5] * 3, (0.1, 0.9))
    assert won.sum(0).max() == 1 and ((certainty > 0) == won).all() and certainty[won].min() >= 0.1
    assert certainty.max() == np.float32(0.9)
    whole, kept = refined("region_grow", scores()), refined("region_grow", scores(), certain=0.5)
    assert (whole == 1).any() and set(np.unique(whole)) == {0, 1}
    np.testing.assert_array_equal(kept[kept != 255], whole[kept != 255])
    assert (kept == 255).any() and (whole[kept == 255] == 1).all()
    np.testing.assert_array_equal(refined("region_grow", scores(), certain=0.5, decide_all=True), whole)


def test_region_growing_without_a_round_keeps_what_is_above_the_threshold() -> None:
    both = np.stack([scores()[0], -scores()[0]])
    expected = grids.decide(
        grids.resize((grids.resize(both, (12, 16)) > 0).astype(np.float32), IMAGE.shape[:2]), 0.5, 0
    )
    np.testing.assert_array_equal(refined("region_grow", both, rounds=0), expected)


def test_region_growing_needs_features() -> None:
    with pytest.raises(UserError, match="region_grow needs features"):
        refine = choices.load("refiners", "region_grow").refine
        refine(scores(), IMAGE, SEGMENTS, None, threshold=0.0, decide_all=False, **OPTIONS["region_grow"])


def test_dsrg_takes_components_with_a_seed() -> None:
    candidates = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], bool)
    seeds = np.array([[1, 0, 0, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(dsrg.keep_seeded(candidates, seeds), [[True, True, False, False], [False] * 4])
    mask = refined("dsrg", np.zeros((1, 6, 8), np.float32))
    assert (mask == 255).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_memory_is_bounded_on_large_images(name: str) -> None:
    """Of whole images a refiner holds seven planes of float32 at most; what it solves, it solves at `longest`."""
    large = np.repeat(np.repeat(IMAGE, 42, 0), 32, 1)
    segments = grids.resize_ids(SEGMENTS, large.shape[:2])
    tracemalloc.start()
    shape = refined(name, scores(), large, segments).shape
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shape == large.shape[:2] and peak < 28 * shape[0] * shape[1]
