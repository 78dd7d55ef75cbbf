"""The rule in closed form: values by hand, against naive formulas."""

from __future__ import annotations

import numpy as np
import pytest

from tests.masks.distillation.planted import planted
from weakseg.masks.distillation import linear_rule
from weakseg.masks.distillation.cells import IGNORED, Cells
from weakseg.masks.distillation.linear_rule import Rule


def test_discriminant_against_the_formula() -> None:
    cells, _ = planted()
    labels = cells.labels.copy()
    labels[:50] = IGNORED
    found = linear_rule.fit_discriminant(Cells(cells.features, labels, cells.present), 0.01)
    x, y = cells.features[50:].astype(np.float64), labels[50:]
    means = [x[y == k].mean(0) for k in (0, 1)]
    inside = np.concatenate([x[y == k] - means[k] for k in (0, 1)])
    expected = np.linalg.solve(inside.T @ inside / len(x) + 0.01 * np.eye(6), means[1] - means[0])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)


def test_discriminant_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, _ = planted(classes=3)
    whole = linear_rule.fit_discriminant(cells, 0.01)
    monkeypatch.setattr(linear_rule, "CHUNK", 77)
    np.testing.assert_allclose(linear_rule.fit_discriminant(cells, 0.01), whole, rtol=1e-5)


def test_discriminant_of_a_class_without_cells_is_the_foreground_s() -> None:
    cells, _ = planted(classes=1)
    wide = Cells(cells.features, cells.labels, np.ones((len(cells.labels), 2), bool))
    weight = linear_rule.fit_discriminant(wide, 0.01)
    np.testing.assert_allclose(weight[:, 0], weight[:, 1])


def test_calibrate_is_centered_and_scaled() -> None:
    cells, truth = planted(noise=0.0)
    rule = linear_rule.calibrate(linear_rule.fit_discriminant(cells, 0.01), cells, 0.0)
    z = cells.features @ rule.weight + rule.offset
    assert z.std() == pytest.approx(1, rel=1e-4)
    assert ((z[:, 0] > 0) == (truth == 1)).mean() > 0.99


def test_calibrate_per_class_uses_images_that_have_it() -> None:
    cells, _ = planted(classes=2, noise=0.0)
    present = cells.present.copy()
    present[: len(present) // 2, 1] = False
    part = Cells(cells.features, cells.labels, present)
    own = linear_rule.calibrate(np.eye(6, dtype=np.float32)[:, 1:3], part, 0.0)
    half = cells.features[len(present) // 2 :]
    alone = Cells(half, cells.labels[len(half) :], np.ones((len(half), 1), bool))
    expected = linear_rule.calibrate(np.eye(6, dtype=np.float32)[:, 2:3], alone, 0.0)
    np.testing.assert_allclose(own.offset[1], expected.offset[0], rtol=1e-5)


def test_relabel_by_hand() -> None:
    z = np.array([[0.5, 0.9], [0.5, 0.9], [-0.5, -0.2], [0.1, -0.1], [3.0, 3.0]])
    present = np.array([[1, 1], [1, 0], [1, 1], [1, 1], [0, 0]], bool)
    np.testing.assert_array_equal(linear_rule.relabel(z, present, 0.15), [2, 1, 0, -1, 0])


def test_count_shares_by_hand() -> None:
    z, present = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[True, False], [True, False]])
    np.testing.assert_array_equal(linear_rule.count_shares(z, present), [1, 0])


def test_rule_maps_and_standardization() -> None:
    rng = np.random.default_rng(0)
    features, mean, std = rng.normal(size=(4, 2, 3)), rng.normal(size=4), rng.random(4) + 0.5
    rule = Rule(rng.normal(size=(4, 2)), rng.normal(size=2))
    expected = np.einsum("chw,ck->khw", (features - mean[:, None, None]) / std[:, None, None], rule.weight)
    raw = linear_rule.unstandardize(rule, mean, std)
    np.testing.assert_allclose(raw.maps(features), expected + rule.offset[:, None, None], rtol=1e-4, atol=1e-5)
