"""Device and precision, from the environment alone: they must never change which stage reruns."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from weakseg.errors import UserError


def pick() -> torch.device:
    """`WEAKSEG_DEVICE` where it is set, else the first GPU, else the CPU."""
    name = os.environ.get("WEAKSEG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"WEAKSEG_DEVICE is '{name}': set it to cpu, cuda or cuda:0") from None


def autocast(precision: str) -> AbstractContextManager:
    """Autocast to bfloat16 where `precision` is "bf16"; "fp32" leaves everything as it is."""
    return torch.autocast(pick().type, dtype=torch.bfloat16, enabled=precision == "bf16")
