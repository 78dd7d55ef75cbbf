"""Segmentation scores against values worked by hand, a naive reading of each protocol, and torchmetrics."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weakseg.data import grids
from weakseg.evaluation.masks import confusion
from weakseg.evaluation.masks.segmentation import Segmentation, interval

TRUTH = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], np.uint8)
GUESS = np.array([[0, 1, 1, 1], [0, 0, 1, 0]], np.uint8)


def masks(values: list[int]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, (6, 5), elements=st.sampled_from(values))


def naive_miou(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> float:
    """Mean IoU over present classes with the truth's 255 left out, pixel by pixel."""
    values = []
    for label in range(classes):
        both = sum(int(((p == label) & (t == label)).sum()) for p, t in pairs)
        either = sum(int((((p == label) | (t == label)) & (t != 255)).sum()) for p, t in pairs)
        if either:
            values.append(Fraction(both, either))
    return float(sum(values) / len(values)) if values else float("nan")


def cell(rows: list[dict], average: str, border: str, size: str) -> float:
    return next(r["miou"] for r in rows if (r["average"], r["border"], r["size"]) == (average, border, size))


def test_headline_by_hand():
    meter = Segmentation(2, side=4, replicates=50)
    meter.add(GUESS, TRUTH)
    result = meter.result()
    assert result["miou"] == pytest.approx(1 / 2)
    assert result["pixel_accuracy"] == pytest.approx(4 / 6)
    assert result["dice"] == pytest.approx(2 / 3)
    assert (result["foreground_iou"], result["over_activation"]) == (pytest.approx(1 / 2), pytest.approx(1 / 4))
    assert result["under_activation"] == pytest.approx(1 / 4)
    assert result["kept"] == 1 and result["miou_kept"] == result["miou"]


def test_abstaining_counts_as_a_miss_but_not_among_the_kept():
    meter = Segmentation(2, side=2, replicates=10)
    meter.add(np.array([[0, 255], [1, 1]], np.uint8), np.array([[0, 0], [1, 1]], np.uint8))
    result = meter.result()
    assert result["miou"] == pytest.approx((1 / 2 + 1) / 2)
    assert (result["miou_kept"], result["kept"]) == (1, pytest.approx(3 / 4))


def test_averages_differ_as_worked_by_hand():
    """Two images with foreground 3/4 and 1 (of 1): dataset 4/5, images (3/4 + 1) / 2, one batch of two = dataset."""
    pairs = [([[1, 1, 1, 1]], [[1, 1, 1, 255]]), ([[1, 255, 255, 255]], [[1, 255, 255, 255]])]
    meter = Segmentation(2, side=4, batch=2, replicates=10)
    for guess, truth in pairs:
        meter.add(np.array(guess, np.uint8) % 255, np.array(truth, np.uint8))
    rows = meter.protocols()
    assert cell(rows, "dataset", "ignore", "original") == 1
    assert cell(rows, "dataset", "background", "original") == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert cell(rows, "image", "background", "original") == pytest.approx(((0 + 3 / 4) / 2 + 1) / 2)
    assert cell(rows, "batch", "background", "original") == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_an_incomplete_last_batch_counts_as_one():
    meter = Segmentation(2, side=2, batch=2, replicates=10)
    right, wrong = np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    for guess in (right, right, wrong):
        meter.add(guess, right)
    assert cell(meter.protocols(), "batch", "ignore", "original") == pytest.approx((1 + 0) / 2)
    assert cell(meter.protocols(), "dataset", "ignore", "original") == pytest.approx((0 + 2 / 3) / 2)


def test_square_size_weighs_images_equally():
    meter = Segmentation(2, side=8, replicates=10)
    meter.add(np.ones((2, 2), np.uint8), np.ones((2, 2), np.uint8))
    meter.add(np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8))
    rows = meter.protocols()
    assert cell(rows, "dataset", "ignore", "original") == pytest.approx(4 / 68 / 2)
    assert cell(rows, "dataset", "ignore", "square") == pytest.approx(64 / 128 / 2)


def test_resize_ids_repeats_and_drops_whole_pixels():
    mask = np.array([[1, 2], [3, 255]], np.uint8)
    assert grids.resize_ids(mask, (4, 4)).tolist() == np.kron(mask, np.ones((2, 2), int)).tolist()
    assert grids.resize_ids(grids.resize_ids(mask, (6, 10)), (2, 2)).tolist() == mask.tolist()


def test_a_wholly_ignored_image_changes_nothing():
    meter = Segmentation(2, side=4, batch=1, replicates=10)
    meter.add(GUESS, TRUTH)
    before = cell(meter.protocols(), "image", "ignore", "original")
    assert np.isnan(meter.add(GUESS, np.full_like(TRUTH, 255)))
    assert cell(meter.protocols(), "image", "ignore", "original") == before
    assert cell(meter.protocols(), "batch", "ignore", "original") == before


def test_without_images_everything_is_undefined():
    meter = Segmentation(3)
    assert all(np.isnan(value) for value in meter.result().values())
    assert all(np.isnan(row["miou"]) for row in meter.protocols())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(masks([0, 1, 2]), masks([0, 1, 2, 255])), min_size=1, max_size=5))
def test_dataset_and_image_averages_equal_a_naive_reading(pairs: list[tuple[np.ndarray, np.ndarray]]):
    meter = Segmentation(3, side=4, batch=2, replicates=5)
    own = [meter.add(*pair) for pair in pairs]
    rows = meter.protocols()
    expected = {
        "dataset": naive_miou(pairs, 3),
        "image": float(confusion.mean_present(np.array([naive_miou([pair], 3) for pair in pairs]))),
    }
    np.testing.assert_allclose(own, [naive_miou([pair], 3) for pair in pairs])
    for average, value in expected.items():
        np.testing.assert_allclose(cell(rows, average, "ignore", "original"), value)
    known = [row["miou"] for row in rows if not np.isnan(row["miou"])]
    assert all(0 <= value <= 1 for value in known)


@settings(max_examples=40, deadline=None)
@given(masks([0, 1, 2]), masks([0, 1, 2, 255]))
def test_parts_of_the_union_add_up(guess: np.ndarray, truth: np.ndarray):
    meter = Segmentation(3, side=4, replicates=5)
    meter.add(guess, truth)
    result = meter.result()
    parts = [result[name] for name in ("foreground_iou", "over_activation", "under_activation")]
    assert np.isnan(parts).all() or sum(parts) == pytest.approx(1)


def test_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.classification")
    generator = np.random.default_rng(0)
    ours = Segmentation(4, side=8, replicates=5)
    theirs = metrics.MulticlassJaccardIndex(num_classes=4, average="macro", ignore_index=255)
    accuracy = metrics.MulticlassAccuracy(num_classes=4, average="micro", ignore_index=255)
    dice = metrics.MulticlassF1Score(num_classes=4, average="macro", ignore_index=255)
    for _ in range(5):
        guess = generator.integers(0, 4, (7, 9)).astype(np.uint8)
        truth = generator.choice([0, 1, 2, 3, 255], (7, 9)).astype(np.uint8)
        ours.add(guess, truth)
        for metric in (theirs, accuracy, dice):
            metric.update(torch.from_numpy(guess).long(), torch.from_numpy(truth).long())
    result = ours.result()
    assert result["miou"] == pytest.approx(float(theirs.compute()), abs=1e-6)
    assert result["pixel_accuracy"] == pytest.approx(float(accuracy.compute()), abs=1e-6)
    assert result["dice"] == pytest.approx(float(dice.compute()), abs=1e-6)


def test_interval_is_near_the_ordinary_bootstrap():
    generator = np.random.default_rng(1)
    meter = Segmentation(2, side=4, replicates=2000, seed=3)
    parts = []
    for _ in range(200):
        truth = (generator.random((8, 8)) < 0.4).astype(np.uint8)
        guess = np.where(generator.random((8, 8)) < generator.uniform(0, 0.4), 1 - truth, truth).astype(np.uint8)
        meter.add(guess, truth)
        parts.append(np.stack(confusion.class_counts(confusion.count_pairs(guess, truth, 2), 2)))
    drawn = generator.integers(0, 200, (2000, 200))
    sums = np.stack(parts)[drawn].sum(1)
    ordinary = np.quantile(confusion.iou(sums[:, 0], sums[:, 1], sums[:, 2]).mean(1), (0.025, 0.975))
    result = meter.result()
    np.testing.assert_allclose((result["miou_low"], result["miou_high"]), ordinary, atol=0.004)
    assert result["miou_low"] < result["miou"] < result["miou_high"]


def test_replicates_of_two_meters_are_paired():
    meters = [Segmentation(2, side=4, replicates=30, seed=5) for _ in range(2)]
    generator = np.random.default_rng(0)
    for _ in range(6):
        truth = (generator.random((5, 5)) < 0.5).astype(np.uint8)
        for meter in meters:
            meter.add(1 - truth if generator.random() < 0.01 else truth, truth)
    assert (meters[0].replicate_miou() == meters[1].replicate_miou()).all()
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()


def test_memory_does_not_grow():
    def size(meter: Segmentation) -> int:
        return sum(value.nbytes for value in vars(meter).values() if isinstance(value, np.ndarray))

    meter = Segmentation(2, side=4, replicates=10)
    meter.add(GUESS, TRUTH)
    before = size(meter)
    for _ in range(100):
        meter.add(GUESS, TRUTH)
    assert size(meter) == before
