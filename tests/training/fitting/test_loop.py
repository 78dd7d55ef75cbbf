"""The training loop: learns, stops, resumes to the same bits, and refuses what cannot go on."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from weakseg.errors import UserError
from weakseg.training.fitting import loop
from weakseg.training.fitting.loop import Plan, Validation
from weakseg.training.fitting.optimization import Trained, build_optimizer, prepare
from weakseg.training.fitting.run_state import Row
from weakseg.training.recipes.optimization import Optimization, OptimizerName, ScheduleName


def problem(seed: int = 0) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(64, 4, generator=generator)
    torch.manual_seed(seed)
    return nn.Linear(4, 1), inputs, inputs @ torch.tensor([[1.0], [-2.0], [3.0], [0.5]])


def run(plan: Plan, validation: Validation | None = None, **changes: object) -> tuple[nn.Linear, list[Row]]:
    """Train with the optimizer and schedule of `changes`, for `total` steps of the schedule."""
    model, inputs, targets = problem()
    values = {"optimizer": "adamw", "schedule": "cosine", "warmup": 0.1, "weight_decay": 0.0}
    total = int(changes.pop("total", 4 * plan.epochs))
    groups = [{"params": list(model.parameters()), "lr": 0.05}]

    def batches(epoch: int):
        order = torch.randperm(64)
        return [(inputs[part], targets[part]) for part in order.split(16)]

    def loss(batch, epoch: int):
        return {"loss": (model(batch[0]) - batch[1]).square().mean()}

    torch.manual_seed(1)
    part = prepare(Optimization(**(values | changes)), model, groups, total)
    return model, loop.fit({"model": part}, batches, loss, plan, validation)


@pytest.mark.parametrize("name", get_args(OptimizerName))
@pytest.mark.parametrize("schedule", get_args(ScheduleName))
def test_every_optimizer_and_schedule_learns(name: str, schedule: str) -> None:
    _, history = run(Plan("test", 15), optimizer=name, schedule=schedule)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, _ = run(Plan("test", 6, checkpoint=tmp_path / "a.pt"), total=24)
    run(Plan("test", 3, checkpoint=tmp_path / "b.pt"), total=24)
    resumed, history = run(Plan("test", 6, checkpoint=tmp_path / "b.pt"), total=24)
    assert len(history) == 6
    assert torch.equal(whole.weight, resumed.weight)


def test_early_stopping_restores_the_best_epoch() -> None:
    values = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    model, history = run(Plan("test", 6), Validation(lambda: {"val": next(values)}, "val", patience=2))
    assert [row["val"] for row in history] == [0.1, 0.9, 0.2, 0.3]
    best, _ = run(Plan("test", 2), total=24)
    assert torch.equal(model.weight, best.weight)


def test_a_loss_that_is_not_finite_stops_with_the_epoch() -> None:
    model, inputs, _ = problem()
    parts = {"model": Trained(model, build_optimizer("sgd", [{"params": list(model.parameters()), "lr": 1.0}], 0.0))}

    def loss(batch, epoch: int):
        return {"loss": model(batch).sum() * float("nan")}

    with pytest.raises(UserError, match=r"test: the loss is not finite in epoch 1, batch 1: lower the learning rate"):
        loop.fit(parts, lambda epoch: [inputs], loss, Plan("test", 1))
    with pytest.raises(UserError, match="no batch"):
        loop.fit(parts, lambda epoch: [], loss, Plan("test", 1))


def test_a_loss_that_is_not_finite_leaves_the_weights_and_the_epochs_before(tmp_path: Path) -> None:
    model, inputs, targets = problem()
    part = Trained(model, build_optimizer("sgd", [{"params": list(model.parameters()), "lr": 0.1}], 0.0))
    seen: list[torch.Tensor] = []

    def loss(batch, epoch: int):
        seen.append(model.weight.detach().clone())
        return {"loss": (model(batch) - targets).square().mean() * (float("inf") if len(seen) == 4 else 1)}

    plan = Plan("test", 3, checkpoint=tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"in epoch 2, batch 2.*whole epochs that are kept: 1"):
        loop.fit({"model": part}, lambda epoch: [inputs, inputs], loss, plan)
    assert torch.equal(model.weight, seen[-1])
    assert len(loop.fit({"model": part}, lambda epoch: [inputs, inputs], loss, plan)) == 3 and len(seen) == 8


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate 2 GiB", "DefaultCPUAllocator: can't allocate"]
)
def test_memory_that_does_not_suffice_says_what_to_lower(words: str) -> None:
    model, inputs, _ = problem()
    part = Trained(model, build_optimizer("sgd", [{"params": list(model.parameters()), "lr": 1.0}], 0.0))

    def loss(batch, epoch: int):
        raise torch.OutOfMemoryError(f"{words} memory")

    with pytest.raises(UserError, match="test: memory does not suffice in epoch 1, batch 1: lower batch_size"):
        loop.fit({"model": part}, lambda epoch: [inputs], loss, Plan("test", 1))


def test_other_errors_of_torch_keep_their_traceback() -> None:
    model, inputs, _ = problem()
    part = Trained(model, build_optimizer("sgd", [{"params": list(model.parameters()), "lr": 1.0}], 0.0))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        loop.fit({"model": part}, lambda epoch: [inputs.T], lambda batch, epoch: {"loss": model(batch)}, Plan("t", 1))


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_more_epochs_go_on_from_the_last_and_end_as_a_longer_run(tmp_path: Path, schedule: str) -> None:
    run(Plan("test", 3, checkpoint=tmp_path / "a.pt"), schedule=schedule)
    longer, history = run(Plan("test", 5, checkpoint=tmp_path / "a.pt"), schedule=schedule)
    whole, expected = run(Plan("test", 5), schedule=schedule)
    assert torch.equal(longer.weight, whole.weight) and history == expected
    shorter, _ = run(Plan("test", 2, checkpoint=tmp_path / "a.pt"), schedule=schedule)
    assert torch.equal(shorter.weight, run(Plan("test", 2), schedule=schedule)[0].weight)


def test_onecycle_without_warmup_runs() -> None:
    _, history = run(Plan("test", 2), schedule="onecycle", warmup=0.0)
    assert len(history) == 2


def test_unknown_names_list_the_choices() -> None:
    values = {"optimizer": "adamm", "schedule": "linear", "warmup": 0.1, "weight_decay": 0.0}
    with pytest.raises(ValidationError, match=r"'adam', 'adamw' or 'sgd'(.|\n)*'cosine', 'onecycle'"):
        Optimization(**values)
