"""The rounds in closed form: values by hand, identities, against naive formulas, and what stops them."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.masks.distillation import linear_rule
from weakseg.masks.distillation.linear_rule import Cells, Rule

FIT = {
    "rounds": 9, "covariance_ridge": 0.01, "tails": 0.005, "band": 0.15, "least_change": 0.0,
    "smallest": 0.02, "largest": 0.9,
}  # fmt: skip


def planted(count: int = 3000, noise: float = 0.3, classes: int = 1, seed: int = 0) -> tuple[Cells, np.ndarray]:
    """Cells whose classes shift one feature each, and whose foreground labels are wrong with chance `noise`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes + 1, count)
    features = rng.normal(size=(count, 6)).astype(np.float32)
    features[np.arange(count), truth] += 4
    labels = np.where((rng.random(count) < noise) & (truth > 0), 0, truth)
    return Cells(features, labels, np.ones((count, classes), bool)), truth


def test_discriminant_against_the_formula() -> None:
    cells, _ = planted()
    labels = cells.labels.copy()
    labels[:50] = linear_rule.IGNORED
    found = linear_rule.discriminant(Cells(cells.features, labels, cells.present), 0.01)
    x, y = cells.features[50:].astype(np.float64), labels[50:]
    means = [x[y == k].mean(0) for k in (0, 1)]
    inside = np.concatenate([x[y == k] - means[k] for k in (0, 1)])
    expected = np.linalg.solve(inside.T @ inside / len(x) + 0.01 * np.eye(6), means[1] - means[0])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)


def test_discriminant_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, _ = planted(classes=3)
    whole = linear_rule.discriminant(cells, 0.01)
    monkeypatch.setattr(linear_rule, "CHUNK", 77)
    np.testing.assert_allclose(linear_rule.discriminant(cells, 0.01), whole, rtol=1e-5)


def test_discriminant_of_a_class_without_cells_is_the_foreground_s() -> None:
    cells, _ = planted(classes=1)
    wide = Cells(cells.features, cells.labels, np.ones((len(cells.labels), 2), bool))
    weight = linear_rule.discriminant(wide, 0.01)
    np.testing.assert_allclose(weight[:, 0], weight[:, 1])


def test_calibrated_is_centered_and_scaled() -> None:
    cells, truth = planted(noise=0.0)
    rule = linear_rule.calibrated(linear_rule.discriminant(cells, 0.01), cells, 0.0)
    z = cells.features @ rule.weight + rule.offset
    assert z.std() == pytest.approx(1, rel=1e-4)
    assert ((z[:, 0] > 0) == (truth == 1)).mean() > 0.99


def test_calibrated_per_class_uses_images_that_have_it() -> None:
    cells, _ = planted(classes=2, noise=0.0)
    present = cells.present.copy()
    present[: len(present) // 2, 1] = False
    part = Cells(cells.features, cells.labels, present)
    own = linear_rule.calibrated(np.eye(6, dtype=np.float32)[:, 1:3], part, 0.0)
    half = cells.features[len(present) // 2 :]
    alone = Cells(half, cells.labels[len(half) :], np.ones((len(half), 1), bool))
    expected = linear_rule.calibrated(np.eye(6, dtype=np.float32)[:, 2:3], alone, 0.0)
    np.testing.assert_allclose(own.offset[1], expected.offset[0], rtol=1e-5)


def test_relabeled_by_hand() -> None:
    z = np.array([[0.5, 0.9], [0.5, 0.9], [-0.5, -0.2], [0.1, -0.1], [3.0, 3.0]])
    present = np.array([[1, 1], [1, 0], [1, 1], [1, 1], [0, 0]], bool)
    np.testing.assert_array_equal(linear_rule.relabeled(z, present, 0.15), [2, 1, 0, -1, 0])


def test_seed_labels_by_hand() -> None:
    seeds = np.array([[[0.0, 0.0, 1.0, 1.0]], [[1.0, 0.0, 0.0, 0.0]]])
    np.testing.assert_array_equal(linear_rule.seed_labels(seeds[:1], 0.1, 0.0), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(linear_rule.seed_labels(seeds, 0.1, 0.0), [[2, 0, 1, 1]])
    np.testing.assert_array_equal(linear_rule.seed_labels(np.full((1, 1, 3), 0.4), 0.1, 0.0), [[-1, -1, -1]])
    np.testing.assert_array_equal(linear_rule.seed_labels(np.zeros((0, 1, 3)), 0.1, 0.0), [[0, 0, 0]])


def test_seed_maps() -> None:
    scores, norm = np.array([[[1.0, 2.0, 3.0]]]), np.array([[4.0, 8.0, 4.0]])
    expected = {"product": [0, 0.5, 0], "cam": [0, 0.5, 1], "norm": [0, 1, 0], "norm_squared": [0, 1, 0]}
    assert sorted(expected) == sorted(linear_rule.SEEDS)
    for kind, values in expected.items():
        np.testing.assert_allclose(linear_rule.seed_maps(scores, norm, kind)[0, 0], values)
    assert linear_rule.seed_maps(scores[:0], norm, "norm").shape == (0, 1, 3)


def test_rule_maps_and_standardization() -> None:
    rng = np.random.default_rng(0)
    features, mean, std = rng.normal(size=(4, 2, 3)), rng.normal(size=4), rng.random(4) + 0.5
    rule = Rule(rng.normal(size=(4, 2)), rng.normal(size=2))
    expected = np.einsum("chw,ck->khw", (features - mean[:, None, None]) / std[:, None, None], rule.weight)
    raw = linear_rule.unstandardized(rule, mean, std)
    np.testing.assert_allclose(raw.maps(features), expected + rule.offset[:, None, None], rtol=1e-4, atol=1e-5)


def test_rounds_beat_their_seed_and_settle() -> None:
    cells, truth = planted(noise=0.5)
    rounds = linear_rule.run(cells, **FIT | {"least_change": 1e-3})
    inside = cells.features @ rounds[-1].rule.weight[:, 0] + rounds[-1].rule.offset[0] > 0
    assert (inside == (truth == 1)).mean() > 0.97 > 0.8 > (cells.labels == truth).mean()
    assert len(rounds) < 9 and rounds[-1].change < 1e-3
    assert rounds[-1].foreground == pytest.approx(inside.mean())


def test_rounds_are_deterministic_and_ignore_scale_and_shift_of_features() -> None:
    cells, _ = planted()
    moved = Cells(cells.features * 3 + 5, cells.labels, cells.present)
    one, two, three = (linear_rule.run(given, **FIT)[-1] for given in (cells, cells, moved))
    np.testing.assert_array_equal(one.rule.weight, two.rule.weight)
    np.testing.assert_allclose(one.rule.weight, three.rule.weight * 3, rtol=1e-2, atol=1e-4)


def test_rounds_separate_classes() -> None:
    cells, truth = planted(classes=3, noise=0.3)
    rule = linear_rule.run(cells, **FIT)[-1].rule
    z = cells.features @ rule.weight + rule.offset
    assert (linear_rule.relabeled(z, cells.present, 0.0) == truth).mean() > 0.93


def test_diverging_rounds_stop_and_the_last_good_one_is_kept() -> None:
    cells, _ = planted()
    everything = Cells(cells.features, np.where(cells.features[:, 2] > -9, 1, 0), cells.present)
    everything.labels[:20] = 0
    wide = FIT | {"largest": 0.55}
    assert all(one.foreground <= 0.55 for one in linear_rule.run(everything, **wide))

    def spoiled(rule: Rule) -> Cells:
        flipped = np.ones(len(cells.labels), int)
        flipped[: len(flipped) // 500] = 0
        return Cells(cells.features * 0 + 1, flipped, cells.present)

    assert len(linear_rule.run(cells, **FIT | {"rounds": 3}, refined_rounds=2, relabel=spoiled)) == 3
    assert linear_rule.run(cells, **FIT | {"smallest": 0.9}) == []


@pytest.mark.parametrize(("rounds", "least_change"), [(3, 0.0), (9, 1e-3), (3, 1.1)])
def test_refined_rounds_follow_the_plain_ones(rounds: int, least_change: float) -> None:
    cells, truth = planted(noise=0.5)
    seen = []

    def relabel(rule: Rule) -> Cells:
        seen.append(rule)
        return Cells(cells.features, truth, cells.present)

    limits = {"rounds": rounds, "least_change": least_change}
    history = linear_rule.run(cells, **FIT | limits, refined_rounds=2, relabel=relabel)
    plain = linear_rule.run(cells, **FIT | limits)
    assert len(seen) == 2 and len(history) == len(plain) + 2
    np.testing.assert_array_equal(seen[0].weight, plain[-1].rule.weight)
    inside = cells.features @ history[-1].rule.weight[:, 0] + history[-1].rule.offset[0] > 0
    assert (inside == (truth == 1)).mean() > 0.98


def test_the_share_is_held_in_refined_rounds() -> None:
    cells, _ = planted(noise=0.3)
    tight = Cells(cells.features, np.where(cells.features[:, 1] > 5, 1, 0), cells.present)
    fit = FIT | {"rounds": 2, "refined_rounds": 3}
    free, held = (linear_rule.run(cells, **fit, hold=hold, relabel=lambda rule: tight) for hold in (False, True))
    assert {round(one.foreground, 3) for one in held[1:]} == {round(held[1].foreground, 3)}
    assert free[-1].foreground != pytest.approx(held[-1].foreground, abs=1e-3)


def test_shares_above_by_hand() -> None:
    z, present = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[True, False], [True, False]])
    np.testing.assert_array_equal(linear_rule.shares_above(z, present), [1, 0])


def test_mutual_agreement_prefers_what_the_others_say_too() -> None:
    rng = np.random.default_rng(0)
    good = rng.random((6, 8, 8)) > 0.5
    near, far = good.copy(), rng.random((6, 8, 8)) > 0.5
    near[:, 0] = ~near[:, 0]
    scores = linear_rule.mutual_agreement([good, near, far])
    assert scores[2] < min(scores[:2])
    assert scores[0] == pytest.approx((linear_rule.mask_iou(good, near) + linear_rule.mask_iou(good, far)) / 2)
    assert linear_rule.mutual_agreement([good]) == [0] and linear_rule.mutual_agreement([]) == []


def test_mask_iou_by_hand() -> None:
    one, other = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert linear_rule.mask_iou(one, other) == (1 / 2 + 2 / 3) / 2
    assert linear_rule.mask_iou(one, one) == 1 and linear_rule.mask_iou(one[:0], one[:0]) == 1
