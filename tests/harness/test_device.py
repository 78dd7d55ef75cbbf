"""Precision and device from what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from weakseg.errors import UserError
from weakseg.harness import device

HIDDEN = "from weakseg.harness import device; print(device.autocast('bf16')._enabled, device.autocast('bf16')._enabled)"


def test_a_cpu_without_bf16_units_computes_in_fp32_and_says_so_once() -> None:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "WEAKSEG_DEVICE": "cpu"}
    result = subprocess.run([sys.executable, "-c", HIDDEN], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "False False\n"
    assert result.stderr.count("no bf16 units, so fp32 is used") == 1


@pytest.mark.skipif(not device.has_bf16("cpu"), reason="this CPU has no bf16 units")
def test_a_cpu_with_bf16_units_uses_them() -> None:
    with device.autocast("bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_fp32_stays_fp32() -> None:
    with device.autocast("fp32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_an_unknown_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_DEVICE", "tpuu")
    with pytest.raises(UserError, match="WEAKSEG_DEVICE is 'tpuu': set it to cpu, cuda or cuda:0"):
        device.pick()


def test_seeds_reach_all_three_generators() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, float, float]:
        device.seed_everything(5, with_torch=True)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()
