"""Where memory does not suffice: inference goes on with half a batch, training says what to lower."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from weakseg.errors import UserError

Result = TypeVar("Result")
SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")  # of CUDA, and of torch's own allocator


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, the GPU's or the machine's."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in SAYINGS)


def _release() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_parts(compute: Callable[[slice], Result], count: int, start: int = 0) -> list[Result]:
    """Results of `compute` over the rows from `start`: of all `count` at once, or of halves where memory is short.

    UserError where it does not suffice for a single one.
    """
    try:
        return [compute(slice(start, start + count))]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if count == 1:
            raise UserError("memory does not suffice for one image: lower image_size, or use another device") from None
    # Outside of the handler, which holds the frames of the failed attempt and all of their tensors.
    _release()
    half = count // 2
    print(f"memory does not suffice for {count} images at once: going on with {half}", file=sys.stderr)
    return in_parts(compute, half, start) + in_parts(compute, count - half, start + half)
