"""When rounds stop: verdicts, and agreement worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.training.self_training import stop_rule


def test_verdicts() -> None:
    assert [stop_rule.judge(value, 0.98, 0.7) for value in (0.5, 0.8, 0.99)] == ["departed", "on", "converged"]
    left = [("a", np.array([[[0.9, 0.1]], [[0.1, 0.9]]])), ("b", np.array([[[0.2, 0.1]], [[0.8, 0.9]]]))]
    right = [("a", np.array([[[0.1, 0.1]], [[0.9, 0.9]]])), ("b", left[1][1])]
    assert stop_rule.agreement(iter(left), iter(right)) == pytest.approx(3 / 4)
