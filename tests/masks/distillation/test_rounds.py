"""The rounds: what they find, identities, and what stops them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.masks.distillation.planted import planted
from weakseg.masks.distillation.cells import Cells
from weakseg.masks.distillation.linear_rule import Rule, relabel
from weakseg.masks.distillation.rounds import Schedule, run_rounds

FIT = {
    "rounds": 9, "covariance_ridge": 0.01, "tails": 0.005, "band": 0.15, "least_change": 0.0,
    "least_foreground": 0.02, "most_foreground": 0.9, "refined_rounds": 2, "hold": False,
}  # fmt: skip


def schedule(**changes: Any) -> Schedule:
    return Schedule(**FIT | changes)


def test_rounds_beat_their_seed_and_settle() -> None:
    cells, truth = planted(noise=0.5)
    rounds = run_rounds(cells, schedule(least_change=1e-3))
    inside = cells.features @ rounds[-1].rule.weight[:, 0] + rounds[-1].rule.offset[0] > 0
    assert (inside == (truth == 1)).mean() > 0.97 > 0.8 > (cells.labels == truth).mean()
    assert len(rounds) < 9 and rounds[-1].change < 1e-3
    assert rounds[-1].foreground == pytest.approx(inside.mean())


def test_rounds_are_deterministic_and_ignore_scale_and_shift_of_features() -> None:
    cells, _ = planted()
    moved = Cells(cells.features * 3 + 5, cells.labels, cells.present)
    one, two, three = (run_rounds(given, schedule())[-1] for given in (cells, cells, moved))
    np.testing.assert_array_equal(one.rule.weight, two.rule.weight)
    np.testing.assert_allclose(one.rule.weight, three.rule.weight * 3, rtol=1e-2, atol=1e-4)


def test_rounds_separate_classes() -> None:
    cells, truth = planted(classes=3, noise=0.3)
    rule = run_rounds(cells, schedule())[-1].rule
    z = cells.features @ rule.weight + rule.offset
    assert (relabel(z, cells.present, 0.0) == truth).mean() > 0.93


def test_diverging_rounds_stop_and_the_last_good_one_is_kept() -> None:
    cells, _ = planted()
    everything = Cells(cells.features, np.where(cells.features[:, 2] > -9, 1, 0), cells.present)
    everything.labels[:20] = 0
    assert all(one.foreground <= 0.55 for one in run_rounds(everything, schedule(most_foreground=0.55)))

    def spoiled(rule: Rule) -> Cells:
        flipped = np.ones(len(cells.labels), int)
        flipped[: len(flipped) // 500] = 0
        return Cells(cells.features * 0 + 1, flipped, cells.present)

    assert len(run_rounds(cells, schedule(rounds=3), spoiled)) == 3
    assert run_rounds(cells, schedule(least_foreground=0.9)) == []


@pytest.mark.parametrize(("rounds", "least_change"), [(3, 0.0), (9, 1e-3), (3, 1.1)])
def test_refined_rounds_follow_the_plain_ones(rounds: int, least_change: float) -> None:
    cells, truth = planted(noise=0.5)
    seen = []

    def refine(rule: Rule) -> Cells:
        seen.append(rule)
        return Cells(cells.features, truth, cells.present)

    limits = schedule(rounds=rounds, least_change=least_change)
    history, plain = run_rounds(cells, limits, refine), run_rounds(cells, limits)
    assert len(seen) == 2 and len(history) == len(plain) + 2
    np.testing.assert_array_equal(seen[0].weight, plain[-1].rule.weight)
    inside = cells.features @ history[-1].rule.weight[:, 0] + history[-1].rule.offset[0] > 0
    assert (inside == (truth == 1)).mean() > 0.98


def test_the_share_is_held_in_refined_rounds() -> None:
    cells, _ = planted(noise=0.3)
    tight = Cells(cells.features, np.where(cells.features[:, 1] > 5, 1, 0), cells.present)
    free, held = (
        run_rounds(cells, schedule(rounds=2, refined_rounds=3, hold=hold), lambda rule: tight) for hold in (False, True)
    )
    assert {round(one.foreground, 3) for one in held[1:]} == {round(held[1].foreground, 3)}
    assert free[-1].foreground != pytest.approx(held[-1].foreground, abs=1e-3)


def test_there_is_a_first_round() -> None:
    with pytest.raises(ValidationError, match="rounds"):
        schedule(rounds=0)
