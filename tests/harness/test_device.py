"""Precision and device from what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from weakseg.errors import UserError
from weakseg.harness import device, digests

ALL = """
import torch
from weakseg.harness import device
for precision in ("bf16", "fp16", "tf32"):
    for _ in range(2):
        with device.autocast(precision), device.products(precision):
            print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype, torch.backends.cuda.matmul.allow_tf32)
    assert device.used(precision) == "fp32" and not device.scaler(precision).is_enabled()
"""


def test_a_cpu_without_units_of_a_precision_computes_in_fp32_and_says_so_once() -> None:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "WEAKSEG_DEVICE": "cpu"}
    result = subprocess.run([sys.executable, "-c", ALL], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["torch.float32 False"] * 6
    said = [f"precision: this cpu has no {name} units, so fp32 is used" for name in ("bf16", "fp16", "tf32")]
    assert result.stderr.splitlines() == said


@pytest.mark.skipif(not device.has("bf16", "cpu"), reason="this CPU has no bf16 units")
def test_a_cpu_with_bf16_units_uses_them() -> None:
    with device.autocast("bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_fp32_stays_fp32() -> None:
    with device.autocast("fp32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_an_unknown_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_DEVICE", "tpuu")
    with pytest.raises(UserError, match="WEAKSEG_DEVICE is 'tpuu': set it to cpu, cuda, cuda:0 or mps"):
        device.pick()


def test_seeds_reach_all_three_generators() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, float, float]:
        device.seed_everything(5, with_torch=True)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()


@pytest.mark.parametrize("name", [kind for kind in ("cuda", "mps") if not getattr(torch, kind).is_available()])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WEAKSEG_DEVICE", name)
    with pytest.raises(UserError, match=f"WEAKSEG_DEVICE is '{name}', and torch finds no such device here"):
        device.pick()


@pytest.mark.parametrize("given", ["", "0", "1"])
def test_kernels_are_deterministic_on_a_cpu_whatever_is_wished(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("WEAKSEG_DEVICE", "cpu")
    monkeypatch.setenv("WEAKSEG_FAST", given)
    device.seed_everything(0, with_torch=True)
    assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark


def test_a_gpu_gives_up_determinism_where_that_is_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "pick", lambda: torch.device("cuda"))
    found = {}
    for given in ("1", "0"):
        monkeypatch.setenv("WEAKSEG_FAST", given)
        device.seed_everything(0, with_torch=True)
        found[given] = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        assert ("fast" in digests.machine()) == (given == "1")
    assert found == {"1": (False, True), "0": (True, False)}


def test_a_wish_for_speed_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_FAST", "yes")
    with pytest.raises(UserError, match="WEAKSEG_FAST is 'yes': set it to 1"):
        device.is_fast()
