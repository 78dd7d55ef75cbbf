"""A device that stands for Apple's: tensors on it hold their values on the CPU, know no float64, and mix with none.

Within `SmallDevice()` whatever is sent to or made on "small" lies there. An operation with float64 on it, or with
tensors of two devices, is an error as it is there; `waits` counts how often a value was fetched from it, which makes a
program wait for the device. What the real one computes, and which operations it lacks, this cannot tell.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

NAME = "small"
FETCHED = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default)
MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default, torch.ops.aten.lift_fresh.default)


@cache
def register() -> None:
    """Let torch know a device of this name; once in a process, and for good."""
    guards = SimpleNamespace(get_amp_supported_dtype=list, manual_seed_all=int, _is_in_bad_fork=bool, is_available=bool)
    backend_registration._setup_privateuseone_for_python_backend(NAME, guards)


class Away(Tensor):
    """A tensor on the device; `here` holds its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Away:
        """On the device, with the shape, type and strides of `here`."""
        if here.dtype in (torch.float64, torch.complex128):
            raise TypeError("the device has no float64")
        return Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            layout=here.layout, device=torch.device(NAME, 0), requires_grad=False,
        )  # fmt: skip

    def __init__(self, here: Tensor) -> None:
        self.here = here

    def __repr__(self) -> str:
        return f"Away({self.here})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(function, args, kwargs or {}, None)


def _here(value: Tensor) -> Tensor:
    return value.here if isinstance(value, Away) else value


def _compute(function: Any, args: Any, kwargs: dict[str, Any], mode: SmallDevice | None) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    away = [value for value in tensors if isinstance(value, Away)]
    wanted = kwargs.get("device")
    target = torch.device(wanted).type if wanted is not None else None
    if not away and target != NAME:
        return function(*args, **kwargs)
    mixed = [value for value in tensors if not isinstance(value, Away) and value.ndim > 0]
    index = "index" in function.__name__  # indices may lie on the CPU
    if away and mixed and function not in MOVES and not index:
        raise RuntimeError(f"{function} with tensors of two devices")
    if mode is not None and away and (function in FETCHED or target == "cpu"):
        mode.waits += 1
    inner = {
        key: torch.device("cpu") if key == "device" and value is not None else value for key, value in kwargs.items()
    }
    found = function(*tree_map_only(Tensor, _here, args), **tree_map_only(Tensor, _here, inner))
    stays = target == NAME or (target is None and (isinstance(args[0], Away) if function in MOVES else bool(away)))
    if function is torch.ops.aten._to_copy.default and target is None:
        stays = bool(away)
    out = tree_map_only(Tensor, Away, found) if stays else found
    if stays and away:
        return return_and_correct_aliasing(function, args, kwargs, out)
    return out


class _Makers(TorchFunctionMode):
    """What torch does for itself, past a mode of operations: to make a tensor of numbers, and numbers of a tensor."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == NAME:
            return torch.tensor(*args, **{**kwargs, "device": "cpu"}).to(NAME)
        if args and isinstance(args[0], Away):
            if function is Tensor.new_tensor:
                return torch.tensor(*args[1:], **{"dtype": args[0].dtype} | kwargs).to(NAME)
            if function is Tensor.tolist:
                return args[0].cpu().tolist()
        return function(*args, **kwargs)


class SmallDevice(TorchDispatchMode):
    """Within it the device is there, as above."""

    def __init__(self) -> None:
        register()
        super().__init__()
        self.makers = _Makers()
        self.waits = 0

    def __enter__(self) -> SmallDevice:
        self.makers.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.makers.__exit__(*error)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(function, args, kwargs or {}, self)
