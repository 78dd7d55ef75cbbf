"""Per-image work over processes or threads, results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, TypeVar


def workers() -> int:
    """Data loading processes: `WEAKSEG_WORKERS`, else one a core past the second, at most eight."""
    return int(os.environ.get("WEAKSEG_WORKERS", min(8, max(0, (os.cpu_count() or 1) - 2))))


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


def streamed(pool: Executor, function: Callable[[Item], Result], items: Sequence[Item], ahead: int) -> Iterator[Result]:
    """Yield function(item) in the order of `items`, at most `ahead` of them under way or waiting."""
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


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
        yield from streamed(pool, _call, items, size * WAITING)


def threaded(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The same by threads: for work inside OpenCV, in a process whose imports a second one would repeat at a price."""
    size = max(1, min(count(), len(items)))
    with ThreadPoolExecutor(size) as pool:
        yield from streamed(pool, function, items, size * WAITING)
