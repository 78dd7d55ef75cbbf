"""Correlations against scipy, exact permutation p, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import statistics

X = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
Y = np.array([1.1, 1.9, 3.2, 3.7, 5.4, 5.2])


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_values_equal_scipy():
    found = statistics.relation(X, Y, 999, generator())
    assert found.pearson == pytest.approx(stats.pearsonr(X, Y).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(X, Y).statistic)
    assert found.pearson_low < found.pearson < found.pearson_high <= 1


def test_exact_permutation_p_by_hand():
    # Of the 3! pairings, the straight and the reversed one have |r| as large as that of the line.
    assert statistics.permutation_p(np.array([0.0, 1, 2]), np.array([0.0, 1, 2]), 1000, generator()) == pytest.approx(
        2 / 6
    )


def test_permutation_p_of_independent_data_is_not_small():
    x, y = np.random.default_rng(1).random((2, 40))
    assert statistics.permutation_p(x, y, 999, generator()) > 0.05


def test_same_generator_same_result():
    assert statistics.relation(X, Y, 200, generator()) == statistics.relation(X, Y, 200, generator())


def test_line_by_hand():
    line = statistics.line(np.array([0.0, 1, 2]), np.array([1.0, 3, 5]))
    assert (line.slope, line.intercept, line.r2) == pytest.approx((2, 1, 1))


def test_constant_values_have_no_correlation():
    assert statistics.relation(X, np.full(6, 0.3), 99, generator()) is None
    assert statistics.line(np.full(6, 0.1), Y) is None


def test_interval_leaves_constant_resamples_out():
    low, high = statistics.interval(np.array([0.0, 1, 2]), np.array([0.0, 1, 3]), 500, generator())
    assert np.isfinite([low, high]).all()


def test_refusals():
    with pytest.raises(UserError, match=r"at least 5 models and there are 2.*choose images"):
        statistics.require_models(2)
    statistics.require_models(5)
    with pytest.raises(UserError, match="at least 3 pairs"):
        statistics.relation(X[:2], Y[:2], 10, generator())
