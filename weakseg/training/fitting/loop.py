"""The one training loop: any number of modules and optimizers, schedules, early stopping, resume after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from weakseg.errors import UserError
from weakseg.harness import memory, processes
from weakseg.harness.progress import track
from weakseg.training.fitting import whole_batch
from weakseg.training.fitting.optimization import Trained
from weakseg.training.fitting.run_state import Row, RunState

Batches = Callable[[int], Iterable[Any]]  # of an epoch, counted from 0
Loss = Callable[[Any, int], dict[str, Tensor]]  # of a batch in an epoch: named scalars, `loss` is minimized


@dataclass(frozen=True)
class Plan:
    """How long to train, and what is called `name` in progress and errors.

    clip: largest norm of the gradient over all modules; checkpoint: name of the files from which a killed run goes on;
    keep: called after each epoch, modules in evaluation mode, with the number of epochs done; shared: of processes that
    work together each is given its share of every batch, and a loss that is the whole batch's mean; else each trains on
    all of it, to the same weights.
    """

    name: str
    epochs: int
    clip: float | None = None
    checkpoint: Path | None = None
    keep: Callable[[int], None] | None = None
    shared: bool = True


@dataclass(frozen=True)
class Validation:
    """What is measured after each epoch, in evaluation mode.

    The epoch whose value `monitor` is the largest gives the final weights; after `patience` epochs without a larger
    one training stops.
    """

    measure: Callable[[], Row]
    monitor: str
    patience: int


def _step(parts: Iterable[Trained], loss: Tensor, plan: Plan) -> None:
    parts = list(parts)
    for part in parts:
        part.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    groups = [group for part in parts for group in part.optimizer.param_groups]
    weights = [weight for group in groups for weight in group["params"]]
    if plan.shared:
        whole_batch.add_gradients(weights)
    if plan.clip is not None:
        nn.utils.clip_grad_norm_(weights, plan.clip)
    for part in parts:
        part.optimizer.step()
        if part.schedule is not None and not isinstance(part.schedule, ReduceLROnPlateau):
            part.schedule.step()
        if part.averaged is not None:
            part.averaged.update_parameters(part.module)


def _learn(state: RunState, batch: Any, loss: Loss, plan: Plan, where: str) -> dict[str, Tensor]:
    """One step; UserError where the loss is not finite, before any weight changes, or memory does not suffice."""
    try:
        with whole_batch.whole_norms() if plan.shared else nullcontext():
            losses = loss(batch, len(state.history))
        if not torch.isfinite(losses["loss"]):
            raise UserError(
                f"{plan.name}: the loss is not finite {where}: lower the learning rate (the weights are as before this"
                f" batch; whole epochs that are kept: {len(state.history)})"
            )
        _step(state.parts.values(), losses["loss"], plan)
    except (MemoryError, RuntimeError) as error:
        if not memory.is_out_of_memory(error):
            raise
        raise UserError(f"{plan.name}: memory does not suffice {where}: lower batch_size or image_size") from None
    return losses


def _train_epoch(state: RunState, items: Iterable[Any], loss: Loss, plan: Plan) -> Row:
    sums: dict[str, float] = {}
    epoch, count = len(state.history), 0
    total = len(items) if isinstance(items, Sized) else None
    for batch in track(items, f"{plan.name}, epoch {epoch + 1}", total):
        losses = _learn(state, batch, loss, plan, f"in epoch {epoch + 1}, batch {count + 1}")
        for key, value in losses.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach())
        count += 1
    if count == 0:
        raise UserError(f"{plan.name}: there is no batch to train on: use more images or a smaller batch_size")
    return {key: value / count for key, value in sums.items()}


def _finish_epoch(state: RunState, row: Row, validation: Validation | None) -> None:
    """Measure, record the row, let schedules that watch it see it, and keep the best weights."""
    state.set_mode(training=False)
    row |= processes.broadcast(validation.measure()) if validation else {}
    state.history.append(row)
    value = row[validation.monitor] if validation else -row["loss"]
    for part in state.parts.values():
        if isinstance(part.schedule, ReduceLROnPlateau):
            part.schedule.step(value)
    if validation:
        state.keep_best(value)


def fit(
    parts: dict[str, Trained], batches: Batches, loss: Loss, plan: Plan, validation: Validation | None = None
) -> list[Row]:
    """Train the parts together; one row an epoch with mean losses, validation values and the first learning rate.

    Every optimizer is zeroed and stepped on every step. Modules are in training mode in a step, and end in evaluation
    mode. With a checkpoint a killed run goes on after its last whole epoch, with the same result. UserError when the
    loss is not finite or there is no batch.
    """
    state = RunState(parts)
    if plan.shared:
        processes.agree("weights to train from", state.digest())
    if plan.checkpoint is not None:
        state.resume(plan.checkpoint, plan.epochs)
    for epoch in range(len(state.history), plan.epochs):
        if validation and len(state.history) - state.best_epoch >= validation.patience:
            break
        state.set_mode(training=True)
        if plan.shared:
            state.draw_apart()
        rate = next(iter(parts.values())).optimizer.param_groups[0]["lr"]
        means = _train_epoch(state, batches(epoch), loss, plan)
        _finish_epoch(state, {"epoch": epoch + 1, **means, "learning_rate": rate}, validation)
        if plan.keep is not None and processes.is_first():
            plan.keep(epoch + 1)
        if plan.checkpoint is not None and processes.is_first():
            state.save(plan.checkpoint)
    state.restore_best()
    state.set_mode(training=False)
    return state.history
