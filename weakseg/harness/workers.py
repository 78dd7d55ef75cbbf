"""Per-image work over processes or threads, results in order."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from weakseg.errors import UserError
from weakseg.harness import processes

SYSTEM = Path("/")
CGROUP = "sys/fs/cgroup"
DIED = (
    "a worker process was killed, as the system does when memory runs out: set WEAKSEG_WORKERS to fewer and run again,"
    " what is finished is kept"
)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _quotas(system: Path) -> Iterator[float]:
    """Cores that the control groups of this process allow: version 2 of them and of all above, then version 1."""
    lines = _text(system / "proc/self/cgroup").splitlines()
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    group = system / CGROUP / own.lstrip("/")
    for folder in (group, *group.parents):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal():  # "max": no limit
            yield int(quota) / int(period)
    allowed, every = (_text(system / CGROUP / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if allowed.isdecimal():  # -1: no limit
        yield int(allowed) / int(every)


def cores(system: Path = SYSTEM) -> int:
    """Cores that this process may use, at least one: the machine's, the scheduler's, a container's or Slurm's share.

    `os.cpu_count` knows only the first. Processes that work together on one machine have a part each.
    """
    limits = [float(os.cpu_count() or 1), *_quotas(system)]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    with suppress(KeyError, ValueError):
        limits.append(int(os.environ["SLURM_CPUS_PER_TASK"]))
    return max(1, int(min(limits) / processes.place().beside))


def _wished() -> int | None:
    """`WEAKSEG_WORKERS`, where it is set; UserError where it is no number of processes."""
    given = os.environ.get("WEAKSEG_WORKERS")
    if not given:
        return None
    if not given.isdecimal():
        raise UserError(f"WEAKSEG_WORKERS is '{given}': set it to a number of processes, such as {cores()}")
    return int(given)


def workers() -> int:
    """Data loading processes: `WEAKSEG_WORKERS`, else one a core past the second, at most eight."""
    wished = _wished()
    return min(8, max(0, cores() - 2)) if wished is None else wished


Item = TypeVar("Item")
Result = TypeVar("Result")

SERIAL_BELOW = 64
WAITING = 8

_function: list[Callable[[Any], Any]] = []


def count() -> int:
    """Worker processes: `WEAKSEG_WORKERS` where it is set, else one a core."""
    wished = _wished()
    return cores() if wished is None else max(1, wished)


def _install(function: Callable[[Any], Any]) -> None:
    import cv2

    cv2.setNumThreads(1)
    _function.append(function)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the process that began this one is gone, and go too: a killed one cannot tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
    picklable. Fewer than 64 items, or one worker: no pool. An error of one item is raised here. UserError where a
    process died.
    """
    size = min(count(), len(items))
    if size <= 1 or len(items) < SERIAL_BELOW:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(size, context, initializer=_install, initargs=(function,)) as pool:
        try:
            yield from streamed(pool, _call, items, size * WAITING)
        except BrokenProcessPool:
            raise UserError(DIED) from None


def threaded(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The same by threads: for work inside OpenCV, in a process whose imports a second one would repeat at a price."""
    size = max(1, min(count(), len(items)))
    with ThreadPoolExecutor(size) as pool:
        yield from streamed(pool, function, items, size * WAITING)
