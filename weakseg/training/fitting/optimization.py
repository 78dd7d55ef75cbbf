"""Optimizers and learning-rate schedules by name, and a module together with what trains it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, PolynomialLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from weakseg.training.recipes.optimization import Optimization, OptimizerName, ScheduleName

Groups = list[dict[str, Any]]  # weights, each group with its learning rate `lr`


@dataclass(frozen=True)
class Trained:
    """A module, its optimizer and schedule (None: constant rates), and the running mean of its weights, if any."""

    module: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    averaged: AveragedModel | None = None


class Together:
    """The optimizers of several parts as one, so that a step is taken by all of them or by none."""

    def __init__(self, parts: Iterable[Trained]) -> None:
        self.parts = list(parts)

    @property
    def param_groups(self) -> Groups:
        """Those of all optimizers."""
        return [group for part in self.parts for group in part.optimizer.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Step every optimizer, the schedules that count steps, and the running means."""
        for part in self.parts:
            part.optimizer.step()
            if part.schedule is not None and not isinstance(part.schedule, ReduceLROnPlateau):
                part.schedule.step()
            if part.averaged is not None:
                part.averaged.update_parameters(part.module)


def prepare(
    how: Optimization, module: nn.Module, groups: Groups, steps: int, averaged: AveragedModel | None = None
) -> Trained:
    """A module with the optimizer of its `groups` and a schedule over `steps` optimizer steps."""
    optimizer = build_optimizer(how.optimizer, groups, how.weight_decay)
    return Trained(module, optimizer, build_schedule(how.schedule, optimizer, steps, how.warmup), averaged)


def build_optimizer(name: OptimizerName, groups: Groups, weight_decay: float) -> Optimizer:
    """Adam, AdamW or SGD with momentum .9 (Nesterov)."""
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(groups, weight_decay=weight_decay)


def _cosine(steps: int, warmup: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))))

    return factor


def build_schedule(name: ScheduleName, optimizer: Optimizer, steps: int, warmup: float) -> LRScheduler | None:
    """Learning-rate schedule over `steps` optimizer steps, `warmup` being a share of them.

    cosine and onecycle warm up; poly falls as (1 - t)^0.9; plateau divides by 10 after three epochs without
    a better monitored value; constant is None.
    """
    if name == "cosine":
        return LambdaLR(optimizer, _cosine(steps, int(warmup * steps)))
    if name == "onecycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        # One step more than is taken, and at least two of them upwards: OneCycleLR divides by both numbers less one.
        return OneCycleLR(optimizer, rates, total_steps=steps + 1, pct_start=max(warmup, 2 / (steps + 1)))
    if name == "poly":
        return PolynomialLR(optimizer, total_iters=steps, power=0.9)
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=3)
    return None
