"""The rounds: fit a rule to labels, calibrate it, let it label the cells anew, until little changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from weakseg.masks.distillation.cells import Cells
from weakseg.masks.distillation.linear_rule import (
    Rule,
    calibrate,
    count_shares,
    fit_discriminant,
    relabel,
    unstandardize,
)
from weakseg.masks.distillation.recipe import Schedule


@dataclass(frozen=True)
class Round:
    """One round: its rule, 1 - IoU of its foreground with the one before, and its share of foreground."""

    rule: Rule
    change: float
    foreground: float


def has_diverged(found: Round, schedule: Schedule) -> bool:
    """Whether a round's share of foreground leaves what the schedule allows."""
    return not schedule.least_foreground <= found.foreground <= schedule.most_foreground


class Trainer:
    """The state of the rounds: standardized cells, the labels to fit next, the share to hold, and what was found."""

    def __init__(self, cells: Cells, schedule: Schedule) -> None:
        self.schedule = schedule
        self.mean = cells.features.mean(0, dtype=np.float64)  # (C,)
        self.std = cells.features.std(0, dtype=np.float64) + 1e-6  # (C,)
        # `cells` calibrate every rule; `labeled` are fitted next: the same cells, or those of refined masks.
        self.cells = self.labeled = self.standardize(cells)
        self.shares: np.ndarray | None = None
        self.inside = cells.labels > 0  # (N,)
        self.z = np.zeros(cells.present.shape)  # (N,K)

    def standardize(self, cells: Cells) -> Cells:
        """The cells with features of mean 0 and variance 1 over the sample the trainer was made from."""
        return replace(cells, features=((cells.features - self.mean) / self.std).astype(np.float32))

    def fit_round(self) -> Round:
        """Fit and calibrate; the labels of the rule become those of the next fit."""
        weight = fit_discriminant(self.labeled, self.schedule.covariance_ridge)
        rule = calibrate(weight, self.cells, self.schedule.tails, self.shares)
        self.z = self.cells.features @ rule.weight + rule.offset
        # How much of the foreground moved is measured without the band, so that every cell has a side.
        before, self.inside = self.inside, relabel(self.z, self.cells.present, 0.0) > 0
        change = 1 - (self.inside & before).sum() / max((self.inside | before).sum(), 1)
        self.labeled = replace(self.cells, labels=relabel(self.z, self.cells.present, self.schedule.band))
        return Round(unstandardize(rule, self.mean, self.std), float(change), float(self.inside.mean()))

    def refit_on(self, cells: Cells) -> None:
        """Fit other cells next; with `hold`, keep the share of foreground of the last round from now on."""
        self.labeled = self.standardize(cells)
        if self.schedule.hold and self.shares is None:
            self.shares = count_shares(self.z, self.cells.present)


def run_rounds(cells: Cells, schedule: Schedule, refine: Callable[[Rule], Cells] | None = None) -> list[Round]:
    """Fit, calibrate, relabel, until the foreground changes by less than `least_change` (1 - IoU) or `rounds` times.

    Then `refined_rounds` more, each fitted on the cells `refine(rule)` gives, their share of foreground held if
    `hold`; none without `refine`. A round that has diverged is thrown away and the rounds before it are returned,
    none if it is the first.
    """
    trainer = Trainer(cells, schedule)
    history: list[Round] = []
    for _ in range(schedule.rounds):
        found = trainer.fit_round()
        if has_diverged(found, schedule):
            return history
        history.append(found)
        if found.change < schedule.least_change:
            break
    if refine is None:
        return history
    for _ in range(schedule.refined_rounds):
        trainer.refit_on(refine(history[-1].rule))
        found = trainer.fit_round()
        if has_diverged(found, schedule):
            return history
        history.append(found)
    return history
