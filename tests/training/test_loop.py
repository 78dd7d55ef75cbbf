"""The training loop: learns, stops, resumes to the same bits, and refuses what cannot go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from weakseg.errors import UserError
from weakseg.training import loop


def problem(seed: int = 0) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(64, 4, generator=generator)
    torch.manual_seed(seed)
    return nn.Linear(4, 1), inputs, inputs @ torch.tensor([[1.0], [-2.0], [3.0], [0.5]])


def run(epochs: int, checkpoint: Path | None = None, name: str = "adamw", plan: str = "cosine", **options):
    model, inputs, targets = problem()
    optimizer = loop.optimizer(name, [{"params": list(model.parameters()), "lr": 0.05}], weight_decay=0.0)

    def batches(epoch: int):
        order = torch.randperm(64)
        return [(inputs[part], targets[part]) for part in order.split(16)]

    def loss(batch, epoch):
        return {"loss": (model(batch[0]) - batch[1]).square().mean()}

    torch.manual_seed(1)
    schedule = loop.schedule(plan, optimizer, steps=options.pop("total", 4 * epochs), warmup=options.pop("warmup", 0.1))
    history = loop.fit(
        {"model": model}, [optimizer], [schedule], batches, loss, epochs=epochs, checkpoint=checkpoint, **options
    )
    return model, history


@pytest.mark.parametrize("name", loop.OPTIMIZERS)
@pytest.mark.parametrize("plan", loop.SCHEDULES)
def test_every_optimizer_and_schedule_learns(name: str, plan: str) -> None:
    _, history = run(15, name=name, plan=plan)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, _ = run(6, tmp_path / "a.pt", total=24)
    run(3, tmp_path / "b.pt", total=24)
    resumed, history = run(6, tmp_path / "b.pt", total=24)
    assert len(history) == 6
    assert torch.equal(whole.weight, resumed.weight)


def test_early_stopping_restores_the_best_epoch() -> None:
    values = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    kept = []
    model, history = run(6, validate=lambda: kept.append(1) or {"val": next(values)}, monitor="val", patience=2)
    assert [row["val"] for row in history] == [0.1, 0.9, 0.2, 0.3]
    best, _ = run(2, total=24)
    assert torch.equal(model.weight, best.weight)


def test_a_loss_that_is_not_finite_stops_with_the_epoch() -> None:
    model, inputs, _ = problem()
    optimizer = loop.optimizer("sgd", [{"params": list(model.parameters()), "lr": 1.0}], weight_decay=0.0)
    with pytest.raises(UserError, match="not finite in epoch 1"):
        loop.fit(
            {"m": model},
            [optimizer],
            [None],
            lambda e: [inputs],
            lambda b, e: {"loss": model(b).sum() * float("nan")},
            epochs=1,
        )
    with pytest.raises(UserError, match="no batch"):
        loop.fit({"m": model}, [optimizer], [None], lambda e: [], lambda b, e: {"loss": model(b).sum()}, epochs=1)


def test_onecycle_without_warmup_runs() -> None:
    _, history = run(2, plan="onecycle", warmup=0.0)
    assert len(history) == 2


def test_unknown_names_list_the_choices() -> None:
    model, *_ = problem()
    groups = [{"params": list(model.parameters()), "lr": 1.0}]
    with pytest.raises(UserError, match="adam, adamw, sgd"):
        loop.optimizer("adamm", groups, weight_decay=0.0)
    with pytest.raises(UserError, match="cosine, onecycle"):
        loop.schedule("linear", loop.optimizer("sgd", groups, weight_decay=0.0), steps=1)
