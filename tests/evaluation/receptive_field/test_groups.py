"""Relations inside and between groups: against scipy, worked by hand, calibrated, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import groups
from weakseg.evaluation.receptive_field.groups import relate_groups


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def paradox(count: int = 5, size: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups whose means rise together by 10 while inside each group y falls by 1 for each x."""
    ids, inner = np.repeat(np.arange(count), size), np.tile(np.arange(size), count)
    return 10.0 * ids + inner, 10.0 * ids - inner, ids


def test_simpsons_paradox_by_hand():
    found = relate_groups(*paradox(), 200, generator())
    assert found.within is not None and found.between is not None and found.pooled is not None
    assert (found.within.r, found.within.slope, found.within.n) == pytest.approx((-1, -1, 15))
    assert (found.between.r, found.between.slope, found.between.n) == pytest.approx((1, 1, 5))
    # pooled slope: (between sum of products - within) / (between + within), 3 * 1000 and 5 * 2
    assert found.pooled.slope == pytest.approx((3000 - 10) / (3000 + 10))
    assert found.between.r_p == pytest.approx(2 / 120) and found.within.r_p < 0.01


def test_values_equal_scipy():
    random = generator(1)
    ids = np.repeat(np.arange(6), 4)
    x = random.normal(size=24) + ids
    y = random.normal(size=24) + 0.5 * x
    found = relate_groups(x, y, ids, 99, generator())
    means = [np.array([values[ids == k].mean() for k in range(6)]) for values in (x, y)]
    inner = [values - mean[ids] for values, mean in zip((x, y), means, strict=True)]
    for one, (a, b) in zip((found.pooled, found.within, found.between), ((x, y), inner, means), strict=True):
        line = stats.linregress(a, b)
        assert one is not None and one.n == len(a)
        assert (one.r, one.slope, one.r2) == pytest.approx((line.rvalue, line.slope, line.rvalue**2))
        assert one.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
        assert one.r_low <= one.r <= one.r_high and one.slope_low <= one.slope <= one.slope_high


def test_within_slope_is_that_of_a_regression_with_a_constant_for_each_group():
    random = generator(2)
    ids = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    x, y = random.normal(size=(2, 9))
    design = np.column_stack([x, np.eye(3)[ids]])
    found = relate_groups(x, y, ids, 50, generator()).within
    assert found is not None and found.slope == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0][0])


def test_p_within_equals_the_enumeration_of_all_shuffles_inside_groups():
    x, ids = np.array([0.0, 1, 3, 0, 2, 3]), np.repeat([0, 1], 3)
    y = np.array([0.0, 2, 1, 1, 2, 5])
    center = groups.find_blocks(ids).center
    everything = [
        abs(np.corrcoef(center(x), center(y[[*one, *other]]))[0, 1])
        for one in itertools.permutations(range(3))
        for other in itertools.permutations(range(3, 6))
    ]
    exact = np.mean(np.array(everything) >= abs(np.corrcoef(center(x), center(y))[0, 1]) - 1e-9)
    found = relate_groups(x, y, ids, 20000, generator()).within
    assert found is not None and found.r_p == pytest.approx(exact, abs=0.01)


def test_p_within_is_uniform_where_only_groups_differ():
    """Group means that go together perfectly must not make the p-value inside groups small."""
    small = 0
    for seed in range(200):
        random, ids = generator(seed), np.repeat(np.arange(5), 4)
        x, y = random.normal(size=(2, 20)) + 10 * ids
        found = relate_groups(x, y, ids, 99, random)
        assert found.within is not None and found.pooled is not None and found.pooled.r > 0.9
        small += found.within.r_p <= 0.05
    assert small <= 20  # 10 expected; 20 has a chance of 0.0003


def test_interval_holds_the_slope_of_the_drawing_in_most_draws():
    held = 0
    for seed in range(100):
        random, ids = generator(seed), np.repeat(np.arange(5), 8)
        x = random.normal(size=40) + 3 * ids
        found = relate_groups(x, 2 * x - 7 * ids + random.normal(size=40), ids, 300, random).within
        assert found is not None
        held += found.slope_low <= 2 <= found.slope_high
    assert held >= 85


def test_order_of_points_and_names_of_groups_do_not_matter():
    x, y, ids = paradox(6, 3)
    y = y + generator(5).normal(size=len(y))
    names, order = np.array([f"k{k}" for k in range(6)]), generator(3).permutation(len(x))
    one = relate_groups(x, y, ids, 50, generator())
    other = relate_groups(x[order], y[order], names[ids[order]], 50, generator())
    for first, second in zip(vars(one).values(), vars(other).values(), strict=True):
        assert (first.r, first.spearman, first.slope, first.n) == pytest.approx(
            (second.r, second.spearman, second.slope, second.n)
        )


def test_same_generator_same_result():
    assert relate_groups(*paradox(), 100, generator()) == relate_groups(*paradox(), 100, generator())


def test_what_is_not_defined_is_none():
    x, y, _ = paradox()
    alone = relate_groups(x, y, np.arange(15), 50, generator())
    assert alone.within is None and alone.between is not None and alone.between.r == alone.pooled.r  # type: ignore[union-attr]
    single = relate_groups(x, y, np.zeros(15), 50, generator())
    assert single.between is None and single.within is not None
    assert single.within.r == pytest.approx(single.pooled.r)  # type: ignore[union-attr]
    flat = relate_groups(np.repeat([0.1, 0.2, 0.3, 0.4, 0.7], 3), y, np.repeat(np.arange(5), 3), 50, generator())
    assert flat.within is None and flat.between is not None
    same = relate_groups(np.full(15, 0.1), y, np.repeat(np.arange(5), [1, 2, 3, 4, 5]), 50, generator())
    assert same.pooled is None and same.within is None and same.between is None


def test_groups_of_one_point_say_nothing_within():
    x, y, ids = paradox()
    more = relate_groups(np.append(x, 500), np.append(y, -900), np.append(ids, 99), 50, generator())
    assert more.within is not None and more.within.n == 15 and more.within.r == pytest.approx(-1)
    assert more.between is not None and more.between.n == 6


def test_refusals():
    x, y, ids = paradox()
    with pytest.raises(UserError, match="at least 5 points and there are 4"):
        relate_groups(x[:4], y[:4], ids[:4], 10, generator())
    with pytest.raises(UserError, match="15 values of x, 14 of y"):
        relate_groups(x, y[:-1], ids, 10, generator())
    with pytest.raises(UserError, match=r"point 2 \(group '0'\) is not finite"):
        relate_groups(x, np.where(np.arange(15) == 2, np.nan, y), ids, 10, generator())
