"""What one training run carries from epoch to epoch; saved whole, so that a killed run goes on with the same result."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.amp import GradScaler

from weakseg.harness import digests, processes
from weakseg.training.fitting import checkpoints
from weakseg.training.fitting.optimization import Together, Trained

Row = dict[str, float]


class RunState:
    """The trained parts by name, the scaler of their loss, one row an epoch, and the weights of the best so far."""

    def __init__(self, parts: dict[str, Trained], scaler: GradScaler) -> None:
        self.parts, self.scaler = parts, scaler
        self.together: Any = Together(parts.values())  # what a scaler does not know to be no torch.optim.Optimizer
        self.history: list[Row] = []
        self.best: dict[str, dict[str, Tensor]] = {}
        self.best_value, self.best_epoch = -float("inf"), 0
        self.seed = torch.initial_seed()

    def stateful(self) -> dict[str, Any]:
        """Everything that has a state of its own, by names that do not change from run to run."""
        kinds = ("module", "optimizer", "schedule", "averaged")
        found = {f"{name}.{kind}": getattr(part, kind) for name, part in self.parts.items() for kind in kinds}
        return {name: item for name, item in found.items() if item is not None}

    def save(self, path: Path) -> None:
        """Write all of it, and the state of every random generator."""
        states = {name: item.state_dict() for name, item in self.stateful().items()}
        facts = {"history": self.history, "best": self.best, "best_value": self.best_value}
        more = {"best_epoch": self.best_epoch, "scaler": self.scaler.state_dict(), "random": _random_state()}
        whole = {"states": states, **facts, **more}
        checkpoints.save(path, len(self.history), whole)

    def resume(self, path: Path, most: int) -> None:
        """Take up what `save` wrote last, of at most that many epochs; where it is damaged, the one before.

        The generators go back too: dropout and shuffling of the next epoch then draw what they would have drawn.
        """
        saved = next(checkpoints.newest(path, most), None)
        if saved is None:
            return
        for name, item in self.stateful().items():
            item.load_state_dict(saved["states"][name])
        if self.scaler.is_enabled() and saved["scaler"]:  # none of a device that has no fp16
            self.scaler.load_state_dict(saved["scaler"])
        self.history, self.best = saved["history"], saved["best"]
        self.best_value, self.best_epoch = saved["best_value"], saved["best_epoch"]
        _restore_random(saved["random"])

    def digest(self) -> str:
        """Of all weights, where there are several processes, which have to begin with the same; else empty."""
        if processes.count() == 1:
            return ""
        found = [part.module.state_dict().values() for part in self.parts.values()]
        return digests.of_parts(*(value.cpu().numpy().tobytes() for values in found for value in values)).hex()

    def draw_apart(self) -> None:
        """Of several processes let each draw dropout of its own in the coming epoch, the same after a kill."""
        if processes.count() > 1:
            torch.manual_seed(self.seed + processes.count() * len(self.history) + processes.place().rank)

    def keep_best(self, value: float) -> None:
        """Copy all weights where `value` is the largest so far."""
        if value > self.best_value:
            self.best_value, self.best_epoch = value, len(self.history)
            self.best = {name: _copy(part.module.state_dict()) for name, part in self.parts.items()}

    def restore_best(self) -> None:
        """Put the kept weights back, if any were."""
        for name, state in self.best.items():
            self.parts[name].module.load_state_dict(state)

    def set_mode(self, training: bool) -> None:
        """Put every module into training or evaluation mode."""
        for part in self.parts.values():
            part.module.train(training)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _random_state() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "python": random.getstate(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def _restore_random(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(state["python"])
    # A run that went on with another number of GPUs has no state for the others.
    for number, one in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(one, number)
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
