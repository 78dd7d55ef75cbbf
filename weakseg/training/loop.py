"""The one training loop: any number of modules and optimizers, schedules, early stopping, resume after a kill."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, PolynomialLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from weakseg.errors import UserError
from weakseg.harness.progress import track

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "onecycle", "plateau", "poly")


def optimizer(name: str, groups: list[dict[str, Any]], *, weight_decay: float) -> Optimizer:
    """Adam, AdamW or SGD with momentum .9 (Nesterov) over parameter groups that each carry their `lr`."""
    if name == "adam":
        return torch.optim.Adam(groups, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(groups, weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    raise UserError(f"unknown optimizer '{name}': choose one of {', '.join(OPTIMIZERS)}")


def _cosine(steps: int, warmup: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))))

    return factor


def schedule(name: str, optimizer: Optimizer, *, steps: int, warmup: float = 0.0) -> LRScheduler | None:
    """Learning-rate schedule over `steps` optimizer steps, `warmup` being a share of them.

    cosine and onecycle warm up; poly falls as (1 - t)^0.9; plateau divides by 10 after three epochs without
    a better monitored value; constant is None.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    if name == "constant":
        return None
    if name == "cosine":
        return LambdaLR(optimizer, _cosine(steps, int(warmup * steps)))
    if name == "onecycle":
        return OneCycleLR(optimizer, rates, total_steps=steps + 1, pct_start=max(warmup, 2 / (steps + 1)))
    if name == "poly":
        return PolynomialLR(optimizer, total_iters=steps, power=0.9)
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=3)
    raise UserError(f"unknown schedule '{name}': choose one of {', '.join(SCHEDULES)}")


def _save(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_suffix(".partial")
    torch.save(value, temporary)
    temporary.replace(path)


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [kind, keys.tolist(), position, has_gauss, gauss],
        "python": random.getstate(),
    }


def _restore_random(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(state["python"])


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


class _Run:
    """What one training run carries from epoch to epoch, and saves."""

    def __init__(
        self,
        modules: dict[str, nn.Module],
        optimizers: list[Optimizer],
        schedules: list[LRScheduler | None],
        averaged: AveragedModel | None,
    ) -> None:
        self.stateful: dict[str, Any] = dict(modules)
        self.stateful |= {f"optimizer{index}": item for index, item in enumerate(optimizers)}
        self.stateful |= {f"schedule{index}": item for index, item in enumerate(schedules) if item is not None}
        if averaged is not None:
            self.stateful["averaged"] = averaged
        self.modules, self.optimizers, self.schedules, self.averaged = modules, optimizers, schedules, averaged
        self.history: list[dict[str, float]] = []
        self.best: dict[str, dict[str, Tensor]] = {}
        self.best_value, self.best_epoch = -float("inf"), 0

    def save(self, path: Path) -> None:
        states = {name: item.state_dict() for name, item in self.stateful.items()}
        facts = {"history": self.history, "best": self.best, "best_value": self.best_value}
        _save(path, {"states": states, **facts, "best_epoch": self.best_epoch, "random": _random_state()})

    def resume(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        for name, item in self.stateful.items():
            item.load_state_dict(saved["states"][name])
        self.history, self.best = saved["history"], saved["best"]
        self.best_value, self.best_epoch = saved["best_value"], saved["best_epoch"]
        _restore_random(saved["random"])

    def keep_best(self, value: float) -> None:
        if value > self.best_value:
            self.best_value, self.best_epoch = value, len(self.history)
            self.best = {name: _copy(module.state_dict()) for name, module in self.modules.items()}


def _step(run: _Run, losses: dict[str, Tensor], clip: float | None) -> None:
    for item in run.optimizers:
        item.zero_grad(set_to_none=True)
    losses["loss"].backward()
    if clip is not None:
        weights = [weight for item in run.optimizers for group in item.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(weights, clip)
    for item in run.optimizers:
        item.step()
    for item in run.schedules:
        if item is not None and not isinstance(item, ReduceLROnPlateau):
            item.step()


def _epoch(
    run: _Run, items: Iterable[Any], loss: Callable, epoch: int, clip: float | None, name: str
) -> dict[str, float]:
    sums: dict[str, float] = {}
    count = 0
    for batch in track(items, f"{name}, epoch {epoch + 1}", len(items) if hasattr(items, "__len__") else None):
        losses = loss(batch, epoch)
        if not torch.isfinite(losses["loss"]):
            raise UserError(f"{name}: the loss is not finite in epoch {epoch + 1}: lower the learning rate")
        _step(run, losses, clip)
        if run.averaged is not None:
            run.averaged.update_parameters(next(iter(run.modules.values())))
        for key, value in losses.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach())
        count += 1
    if count == 0:
        raise UserError(f"{name}: there is no batch to train on: use more images or a smaller batch_size")
    return {key: value / count for key, value in sums.items()}


def fit(
    modules: dict[str, nn.Module],
    optimizers: list[Optimizer],
    schedules: list[LRScheduler | None],
    batches: Callable[[int], Iterable[Any]],
    loss: Callable[[Any, int], dict[str, Tensor]],
    *,
    epochs: int,
    validate: Callable[[], dict[str, float]] | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    clip: float | None = None,
    checkpoint: Path | None = None,
    averaged: AveragedModel | None = None,
    description: str = "training",
) -> list[dict[str, float]]:
    """Train for at most `epochs`; return one row an epoch with mean losses, validation values and learning rate.

    `batches(epoch)` gives that epoch's batches; `loss(batch, epoch)` gives named scalars, `loss` being the
    one that is minimized. Every optimizer is zeroed and stepped on every step. `loss` sets the modules' modes
    itself through `modules` being in training mode; `validate` runs in evaluation mode. With `monitor` (larger
    is better) the best epoch's weights are restored, and after `patience` epochs without a better one training
    stops. With `checkpoint`, a killed run goes on after its last whole epoch with the same result. `averaged`
    follows the first module. Raises UserError when the loss is not finite or there is no batch.
    """
    run = _Run(modules, optimizers, schedules, averaged)
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    for epoch in range(len(run.history), epochs):
        if patience is not None and monitor and len(run.history) - run.best_epoch >= patience:
            break
        for module in modules.values():
            module.train()
        rate = optimizers[0].param_groups[0]["lr"]
        row = {"epoch": epoch + 1, **_epoch(run, batches(epoch), loss, epoch, clip, description), "learning_rate": rate}
        for module in modules.values():
            module.eval()
        row |= validate() if validate is not None else {}
        run.history.append(row)
        for item in schedules:
            if isinstance(item, ReduceLROnPlateau):
                item.step(row[monitor] if monitor else -row["loss"])
        if monitor:
            run.keep_best(row[monitor])
        if checkpoint is not None:
            run.save(checkpoint)
    for name, state in run.best.items():
        modules[name].load_state_dict(state)
    for module in modules.values():
        module.eval()
    return run.history
