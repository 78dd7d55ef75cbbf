"""The share of a training that went by waiting for data: bounds that a sleep gives, whatever the machine does."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from weakseg.harness.progress import Waiting
from weakseg.training.fitting import loop
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained

PAUSE = 0.02  # seconds


class Slow(Dataset):
    """Eight samples, each a while in coming."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        time.sleep(PAUSE)
        return torch.ones(4)


def test_reading_is_waiting_and_computing_is_not() -> None:
    slow, quick = Waiting(), Waiting()
    with slow.work():
        assert len(list(slow.watch(DataLoader(Slow(), 2)))) == 4
    assert 8 * PAUSE <= slow.waited <= slow.worked
    with quick.work():
        for _ in quick.watch(range(4)):
            time.sleep(PAUSE)
    assert quick.worked - quick.waited >= 4 * PAUSE


def test_a_training_says_it_once(capsys: pytest.CaptureFixture) -> None:
    model = nn.Linear(4, 1)
    part = Trained(model, torch.optim.SGD(model.parameters(), lr=0.1))
    plan = Plan("test", 2)
    loop.fit({"m": part}, lambda epoch: DataLoader(Slow(), 2), lambda batch, epoch: {"loss": model(batch).mean()}, plan)
    said = [line for line in capsys.readouterr().err.splitlines() if "waiting for data" in line]
    assert len(said) == 1 and said[0].endswith("s of training went by waiting for data") and "test: " in said[0]


def test_nothing_done_is_nothing_said(capsys: pytest.CaptureFixture) -> None:
    Waiting().say("test")
    assert not capsys.readouterr().err
