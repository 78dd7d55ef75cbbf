"""Mean losses of an epoch, and the look at each that it is finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from weakseg.training.fitting.run_state import Row

TOGETHER = 50  # steps whose losses are fetched at once from a device that computes on while the program goes ahead


class Tally:
    """Sums of the named losses of each step, and the number of the first step whose `loss` is not finite, from 1.

    On a CPU a loss is looked at as soon as it is there, so before its step is taken. On another device that would make
    every step wait for the device: there losses are fetched some steps at a time, and the last ones by `means`. What a
    loss that is not finite has spoiled by then is gone with the epoch, of which nothing is kept before `means`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.bad: int | None = None
        self.sums: Row = {}
        self.waiting: list[Tensor] = []

    def add(self, losses: dict[str, Tensor]) -> None:
        """Take the losses of one more step."""
        self.sums = self.sums or dict.fromkeys(losses, 0.0)
        self.waiting.append(torch.stack([losses[name].detach() for name in self.sums]))
        self.count += 1
        if losses["loss"].device.type == "cpu" or len(self.waiting) == TOGETHER:
            self._look()

    def _look(self) -> None:
        rows = torch.stack(self.waiting).tolist() if self.waiting else []
        for number, row in enumerate(rows, self.count - len(rows) + 1):
            values = dict(zip(self.sums, row, strict=True))
            if self.bad is None and not math.isfinite(values["loss"]):
                self.bad = number
            self.sums = {name: total + values[name] for name, total in self.sums.items()}
        self.waiting = []

    def means(self) -> Row:
        """The mean of each loss over all steps, of which there is at least one."""
        self._look()
        return {name: total / self.count for name, total in self.sums.items()}
