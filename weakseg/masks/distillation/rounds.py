"""The rounds: fit a rule to labels, calibrate it, let it label the cells anew, until little changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from weakseg.masks.distillation.cells import Cells
from weakseg.masks.distillation.linear_rule import (
    Rule,
    calibrate,
    count_shares,
    fit_discriminant,
    relabel,
    unstandardize,
)


@dataclass(frozen=True)
class Round:
    """One round: its rule, 1 - IoU of its foreground with the one before, and its share of foreground."""

    rule: Rule
    change: float
    foreground: float


class Schedule(BaseModel):
    """How each round is fitted, and when the rounds end."""

    model_config = ConfigDict(frozen=True)

    rounds: int = Field(ge=1)  # plain rounds at most
    covariance_ridge: float  # added to the covariance of standardized features
    tails: float  # quantile at which scores are clipped before Otsu's threshold
    band: float  # standard deviations; cells this near the threshold are left out of the next round
    least_change: float  # settled when 1 - IoU with the round before is smaller
    smallest: float  # share of foreground cells under which the rounds have diverged
    largest: float  # share of foreground cells above which the rounds have diverged
    refined_rounds: int  # rounds after the plain ones that are fitted on refined masks; 0: none
    hold: bool  # keep the share of foreground that the plain rounds ended with

    def diverged(self, found: Round) -> bool:
        """Whether a round's share of foreground leaves [smallest, largest]."""
        return not self.smallest <= found.foreground <= self.largest


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
        if schedule.diverged(found):
            return history
        history.append(found)
        if found.change < schedule.least_change:
            break
    if refine is None:
        return history
    for _ in range(schedule.refined_rounds):
        trainer.refit_on(refine(history[-1].rule))
        found = trainer.fit_round()
        if schedule.diverged(found):
            return history
        history.append(found)
    return history
