"""Seeds, device and precision: what of the harness can change a number.

The device comes from the environment alone: it must never change which stage reruns.
"""

from __future__ import annotations

import os
import platform
import random
import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from weakseg.errors import UserError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")  # levels of oneDNN


def seed_everything(seed: int, with_torch: bool) -> None:
    """Seed Python, NumPy and, where it is used, torch, with deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed)
    if with_torch:
        import torch

        torch.manual_seed(seed)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        # What torch.use_deterministic_algorithms does, but for importing its compiler: a second in every stage.
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def pick() -> torch.device:
    """`WEAKSEG_DEVICE` where it is set, else the first GPU, else the CPU."""
    import torch

    name = os.environ.get("WEAKSEG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"WEAKSEG_DEVICE is '{name}': set it to cpu, cuda or cuda:0") from None


@cache
def has_bf16(kind: str) -> bool:
    """Whether a kind of device ("cpu", "cuda") computes in bfloat16 itself; an emulation is 13 to 18 times slower."""
    import torch

    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return True
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    hidden = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16
    return not hidden and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@cache
def _say_fp32(kind: str) -> None:
    print(f"precision: this {kind} has no bf16 units, so fp32 is used", file=sys.stderr)


def autocast(precision: Precision) -> AbstractContextManager:
    """Autocast to bfloat16 where `precision` is "bf16" and the device has it; "fp32" leaves everything as it is.

    A device without bf16 units computes in fp32, and says so once.
    """
    import torch

    kind = pick().type
    wanted = precision == "bf16"
    if wanted and not has_bf16(kind):
        _say_fp32(kind)
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=wanted and has_bf16(kind))
