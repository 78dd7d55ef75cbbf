"""Per-image work over processes, results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SERIAL_BELOW = 64
WAITING = 8

_function: list[Callable[[Any], Any]] = []


def count() -> int:
    """Worker processes: `WEAKSEG_WORKERS` where it is set, else one a core."""
    return int(os.environ.get("WEAKSEG_WORKERS") or os.cpu_count() or 1)


def _install(function: Callable[[Any], Any]) -> None:
    import cv2

    cv2.setNumThreads(1)
    _function.append(function)


def _call(item: Any) -> Any:
    return _function[-1](item)


def ordered(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield function(item) in the order of `items`, computed by a pool of processes.

    Few results wait at a time, so that memory stays flat. `function` is sent to each process once and has to be
    picklable. Fewer than 64 items, or one worker: no pool. An error of one item is raised here.
    """
    size = min(count(), len(items))
    if size <= 1 or len(items) < SERIAL_BELOW:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(size, context, initializer=_install, initargs=(function,)) as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(_call, item))
                if len(waiting) >= size * WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
