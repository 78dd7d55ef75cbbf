"""The one training loop: any number of modules and optimizers, schedules, early stopping, resume after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from weakseg.errors import UserError
from weakseg.harness import device, memory, processes
from weakseg.harness.device import Precision
from weakseg.harness.progress import Waiting, track
from weakseg.training.fitting import whole_batch
from weakseg.training.fitting.optimization import Trained
from weakseg.training.fitting.run_state import Row, RunState
from weakseg.training.fitting.tally import Tally

Batches = Callable[[int], Iterable[Any]]  # of an epoch, counted from 0
Loss = Callable[[Any, int], dict[str, Tensor]]  # of a batch in an epoch: named scalars, `loss` is minimized
LEAST_SCALE = 1.0  # of a loss in fp16; where gradients overflow even so, smaller ones would vanish


@dataclass(frozen=True)
class Plan:
    """How long to train, and what is called `name` in progress and errors.

    clip: largest norm of the gradient over all modules; checkpoint: name of the files from which a killed run goes on;
    keep: called after each epoch, modules in evaluation mode, with the number of epochs done; shared: of processes that
    work together each is given its share of every batch, and a loss that is the whole batch's mean; else each trains on
    all of it, to the same weights. precision: that of the loss's forward pass, which the rest of a step has to suit.
    """

    name: str
    epochs: int
    clip: float | None = None
    checkpoint: Path | None = None
    keep: Callable[[int], None] | None = None
    shared: bool = True
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Validation:
    """What is measured after each epoch, in evaluation mode.

    The epoch whose value `monitor` is the largest gives the final weights; after `patience` epochs without a larger
    one training stops.
    """

    measure: Callable[[], Row]
    monitor: str
    patience: int


def _step(state: RunState, loss: Tensor, plan: Plan, where: str) -> None:
    """One step of all parts; none of any where a gradient overflows in fp16, and the scale of the loss is halved."""
    parts, scaler = state.together, state.scaler
    parts.zero_grad()
    scaler.scale(loss).backward()
    weights = [weight for group in parts.param_groups for weight in group["params"]]
    if plan.shared:
        whole_batch.add_gradients(weights)
    scaler.unscale_(parts)
    if plan.clip is not None:
        nn.utils.clip_grad_norm_(weights, plan.clip)
    scaler.step(parts)
    scaler.update()
    if scaler.is_enabled() and scaler.get_scale() < LEAST_SCALE:
        raise UserError(
            f"{plan.name}: gradients are not finite {where}, nor were they in the steps before: set precision to bf16"
            f" or fp32, or lower the learning rate (whole epochs that are kept: {len(state.history)})"
        )


def _require_finite(tally: Tally, state: RunState, plan: Plan) -> None:
    """UserError names the first batch whose loss is not finite."""
    if tally.bad is not None:
        other = " or set precision to bf16 or fp32" if state.scaler.is_enabled() else ""
        raise UserError(
            f"{plan.name}: the loss is not finite in epoch {len(state.history) + 1}, batch {tally.bad}:"
            f" lower the learning rate{other} (whole epochs that are kept: {len(state.history)})"
        )


def _learn(state: RunState, batch: Any, loss: Loss, plan: Plan, tally: Tally) -> None:
    """One step; UserError where a loss is not finite (`Tally` says when), or memory does not suffice."""
    where = f"in epoch {len(state.history) + 1}, batch {tally.count + 1}"
    try:
        with whole_batch.whole_norms() if plan.shared else nullcontext(), device.products(plan.precision):
            losses = loss(batch, len(state.history))
        tally.add(losses)
        _require_finite(tally, state, plan)
        with device.products(plan.precision):
            _step(state, losses["loss"], plan, where)
    except (MemoryError, RuntimeError) as error:
        if not memory.is_out_of_memory(error):
            raise
        raise UserError(f"{plan.name}: memory does not suffice {where}: lower batch_size or image_size") from None


def _train_epoch(state: RunState, items: Iterable[Any], loss: Loss, plan: Plan, waiting: Waiting) -> Row:
    tally, epoch = Tally(), len(state.history)
    total = len(items) if isinstance(items, Sized) else None
    with waiting.work():
        for batch in track(waiting.watch(items), f"{plan.name}, epoch {epoch + 1}", total):
            _learn(state, batch, loss, plan, tally)
        if tally.count == 0:
            raise UserError(f"{plan.name}: there is no batch to train on: use more images or a smaller batch_size")
        means = tally.means()
    _require_finite(tally, state, plan)
    return means


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

    Every optimizer is zeroed and stepped on every step; in fp16 a step whose gradients overflow is left out. Modules
    are in training mode in a step, and end in evaluation mode. With a checkpoint a killed run goes on after its last
    whole epoch, with the same result. UserError when the loss is not finite or there is no batch.
    """
    state, waiting = RunState(parts, device.scaler(plan.precision)), Waiting()
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
        means = _train_epoch(state, batches(epoch), loss, plan, waiting)
        _finish_epoch(state, {"epoch": epoch + 1, **means, "learning_rate": rate}, validation)
        if plan.keep is not None and processes.is_first():
            plan.keep(epoch + 1)
        if plan.checkpoint is not None and processes.is_first():
            state.save(plan.checkpoint)
    state.restore_best()
    state.set_mode(training=False)
    waiting.say(plan.name)
    return state.history
