"""Seeds, device and precision: what of the harness can change a number.

The device comes from the environment alone, and so does whether a GPU may give up determinism for speed: neither must
ever change which stage reruns.
"""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from weakseg.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Precision = Literal["fp32", "bf16", "fp16", "tf32"]
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")  # levels of oneDNN
WITHOUT_FLOAT64 = ("mps",)  # kinds of device
UNITS = {"fp16": (7, 0), "tf32": (8, 0)}  # least compute capability of a GPU that is made for it: Volta, Ampere


def seed_everything(seed: int, with_torch: bool) -> None:
    """Seed Python, NumPy and, where it is used, torch, with deterministic kernels unless `is_fast`.

    fp32 is fp32: TF32, which torch leaves on in convolutions, is off but where a `precision` asks for it.
    """
    random.seed(seed)
    np.random.seed(seed)
    if with_torch:
        import torch

        fast = is_fast()
        torch.manual_seed(seed)
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = fast
        torch.backends.cudnn.deterministic = not fast
        # What torch.use_deterministic_algorithms does, but for importing its compiler: a second in every stage.
        torch._C._set_deterministic_algorithms(not fast, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def pick() -> torch.device:
    """`WEAKSEG_DEVICE` where it is set, else the first GPU, else the CPU; Apple's GPU only where it is named.

    UserError where there is no such device.
    """
    import torch

    name = os.environ.get("WEAKSEG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UserError(f"WEAKSEG_DEVICE is '{name}': set it to cpu, cuda, cuda:0 or mps") from None
    lacking = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if lacking.get(found.type):
        raise UserError(f"WEAKSEG_DEVICE is '{name}', and torch finds no such device here: set it to cpu, or unset it")
    return found


def is_fast() -> bool:
    """Whether `WEAKSEG_FAST` is 1 and the device a CUDA GPU: its fastest kernels then, the same bytes no more.

    UserError where it is set to anything but 0 or 1.
    """
    given = os.environ.get("WEAKSEG_FAST") or "0"
    if given not in ("0", "1"):
        raise UserError(f"WEAKSEG_FAST is '{given}': set it to 1, for the fastest kernels of a GPU, or unset it")
    return given == "1" and pick().type == "cuda"


def send(values: Tensor, place: torch.device) -> Tensor:
    """Values on a device; from pinned memory to a CUDA GPU the program goes on meanwhile."""
    return values.to(place, non_blocking=place.type == "cuda")


def double(values: Tensor) -> Tensor:
    """Values in float64 where they lie; from a device that has none (Apple's) on the CPU."""
    return (values.cpu() if values.device.type in WITHOUT_FLOAT64 else values).double()


def put_beside(values: Tensor, other: Tensor) -> Tensor:
    """Values in the type and on the device of another tensor; float64 never gets to a device that has none."""
    return values.to(other.dtype).to(other.device)


def _cpu_has_bf16() -> bool:
    import torch

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    hidden = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16
    return not hidden and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@cache
def has(precision: Precision, kind: str) -> bool:
    """Whether a kind of device ("cpu", "cuda", "mps") computes so itself; an emulated bf16 is 13 to 18 times slower.

    Apple's GPUs are given fp32 alone: nothing else has been seen there.
    """
    import torch

    if precision == "fp32":
        return True
    if kind == "cpu":
        return precision == "bf16" and _cpu_has_bf16()
    if kind != "cuda":
        return False
    if precision == "bf16":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cuda.get_device_capability() >= UNITS[precision]


@cache
def _say_fp32(precision: Precision, kind: str) -> None:
    print(f"precision: this {kind} has no {precision} units, so fp32 is used", file=sys.stderr)


def used(precision: Precision) -> Precision:
    """The precision that this device computes in: fp32, said once, where it lacks the one that is asked for."""
    kind = pick().type
    if has(precision, kind):
        return precision
    _say_fp32(precision, kind)
    return "fp32"


@contextmanager
def _tf32() -> Iterator[None]:
    import torch

    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = True
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def products(precision: Precision) -> AbstractContextManager:
    """Within it fp32 products and convolutions use TF32 where `precision` is "tf32" and the device has it.

    A training step, backward pass and all, lies within it; of the forward pass `autocast` takes care.
    """
    return _tf32() if used(precision) == "tf32" else nullcontext()


def autocast(precision: Precision) -> AbstractContextManager:
    """A forward pass in `precision`, where the device has it; "fp32" leaves everything as it is.

    What is trained in fp16 needs `scaler` too.
    """
    import torch

    using = used(precision)
    if using == "tf32":
        return _tf32()
    half = torch.float16 if using == "fp16" else torch.bfloat16
    return torch.autocast(pick().type, dtype=half, enabled=using in ("bf16", "fp16"))


def scaler(precision: Precision) -> torch.amp.GradScaler:
    """What keeps the small gradients of a training in fp16 above zero; with another precision it does nothing."""
    import torch

    return torch.amp.GradScaler(pick().type, enabled=used(precision) == "fp16")
