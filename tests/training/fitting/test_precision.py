"""Training in fp16 and TF32: a CPU, which can compute in fp16, stands for a GPU that is made for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.training.fitting import loop
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained, prepare
from weakseg.training.fitting.run_state import Row
from weakseg.training.recipes.optimization import Optimization

ADAM = Optimization(optimizer="adam", schedule="constant", warmup=0.0, weight_decay=0.0)
SGD = ADAM.model_copy(update={"optimizer": "sgd"})


@pytest.fixture(autouse=True)
def every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has", lambda precision, kind: True)


def part(size: float = 1.0, how: Optimization = ADAM) -> Trained:
    """A layer whose inputs' size decides whether its gradients overflow at the first scale, 65,536."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    with torch.no_grad():
        model.weight.div_(size)
    return prepare(how, model, [{"params": list(model.parameters()), "lr": 0.05 / size}], 100)


def inputs(size: float = 1.0) -> Tensor:
    return size * torch.randn(16, 4, generator=torch.Generator().manual_seed(1))


def loss_of(parts: dict[str, Trained], size: float = 1.0) -> Callable[[Tensor, int], dict[str, Tensor]]:
    """Distance of all parts from what their first input says."""

    def loss(batch: Tensor, epoch: int) -> dict[str, Tensor]:
        with device.autocast("fp16"):
            found = [one.module(batch) for one in parts.values()]
        assert all(one.dtype == torch.float16 for one in found)
        wanted = 3 * batch[:, :1] / size
        return {"loss": torch.stack([(one.float() - wanted).square().mean() for one in found]).sum()}

    return loss


def run(plan: Plan, size: float = 10.0, how: Optimization = ADAM) -> tuple[nn.Module, list[Row]]:
    parts = {"model": part(size, how)}
    history = loop.fit(parts, lambda epoch: [inputs(size)] * 4, loss_of(parts, size), plan)
    return parts["model"].module, history


def saved(path: Path) -> dict:
    """The newest checkpoint."""
    return torch.load(sorted(path.parent.glob(f"{path.stem}.*"))[-1], weights_only=True)


def test_steps_that_overflow_are_left_out_and_the_rest_learns(tmp_path: Path) -> None:
    first, _ = run(Plan("test", 1, checkpoint=tmp_path / "a.pt", precision="fp16"), size=1000.0)
    assert saved(tmp_path / "a.pt")["scaler"]["scale"] == 2.0**12, "each of four steps overflowed and halved the scale"
    assert torch.equal(first.weight, part(1000.0).module.weight)
    _, history = run(Plan("test", 20, checkpoint=tmp_path / "b.pt", precision="fp16"))
    assert saved(tmp_path / "b.pt")["scaler"]["scale"] < 2.0**16
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]


def test_a_killed_run_goes_on_at_the_scale_it_had_reached(tmp_path: Path) -> None:
    whole, expected = run(Plan("test", 6, checkpoint=tmp_path / "a.pt", precision="fp16"))
    run(Plan("test", 3, checkpoint=tmp_path / "b.pt", precision="fp16"))
    assert saved(tmp_path / "b.pt")["scaler"]["scale"] < 2.0**16
    resumed, history = run(Plan("test", 6, checkpoint=tmp_path / "b.pt", precision="fp16"))
    assert history == expected and torch.equal(whole.weight, resumed.weight)
    assert saved(tmp_path / "a.pt")["scaler"] == saved(tmp_path / "b.pt")["scaler"]


def test_of_two_parts_neither_steps_where_one_overflows() -> None:
    parts = {"small": part(how=SGD), "large": part(1e-4, SGD)}
    before = {name: one.module.weight.detach().clone() for name, one in parts.items()}

    def loss(batch: Tensor, epoch: int) -> dict[str, Tensor]:
        with device.autocast("fp16"):
            small, large = parts["small"].module(1e-3 * batch), parts["large"].module(batch)
        return {"loss": small.float().sum() * 1e-3 + large.float().sum() * 10}

    loop.fit(parts, lambda epoch: [inputs()], loss, Plan("test", 1, precision="fp16"))
    assert parts["small"].module.weight.grad is not None and parts["small"].module.weight.grad.isfinite().all()
    assert not parts["large"].module.weight.grad.isfinite().all()
    assert all(torch.equal(one.module.weight, before[name]) for name, one in parts.items())


def test_gradients_are_clipped_at_their_own_size_not_at_the_scaled_one() -> None:
    before = part(how=SGD).module
    after, _ = run(Plan("test", 1, clip=1e-3, precision="fp16"), size=1.0, how=SGD)
    start, end = (torch.cat([value.detach().flatten() for value in one.parameters()]) for one in (before, after))
    # Three of the four steps overflow; Nesterov's first one, with momentum .9, is 1.9 times the gradient.
    assert float((end - start).norm()) == pytest.approx(0.05 * 1e-3 * 1.9, rel=0.01)


def test_a_loss_that_is_not_finite_is_no_overflow_of_gradients() -> None:
    parts = {"model": part()}
    plan = Plan("test", 1, precision="fp16")
    with pytest.raises(UserError, match=r"not finite in epoch 1, batch 1: .* or set precision to bf16 or fp32"):
        loop.fit(parts, lambda epoch: [inputs(1e6)], loss_of(parts), plan)


def test_gradients_that_are_finite_at_no_scale_stop_the_training() -> None:
    parts = {"model": part()}

    def loss(batch: Tensor, epoch: int) -> dict[str, Tensor]:
        return {"loss": (0 * parts["model"].module(batch)).square().sum().sqrt()}

    with pytest.raises(UserError, match=r"test: gradients are not finite in epoch 1, batch 17.*kept: 0"):
        loop.fit(parts, lambda epoch: [inputs()] * 20, loss, Plan("test", 1, precision="fp16"))


def test_a_whole_step_is_in_tf32_where_it_is_asked_for() -> None:
    seen: list[bool] = []
    parts = {"model": part()}
    parts["model"].module.weight.register_hook(lambda grad: seen.append(torch.backends.cuda.matmul.allow_tf32))

    def loss(batch: Tensor, epoch: int) -> dict[str, Tensor]:
        seen.append(torch.backends.cudnn.allow_tf32)
        return {"loss": parts["model"].module(batch).square().mean()}

    device.seed_everything(0, with_torch=True)
    for precision in ("tf32", "fp32"):
        loop.fit(parts, lambda epoch: [inputs()], loss, Plan("test", 1, precision=precision))
    with device.autocast("tf32"):
        seen.append(torch.backends.cuda.matmul.allow_tf32)
    assert seen == [True, True, False, False, True]
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
