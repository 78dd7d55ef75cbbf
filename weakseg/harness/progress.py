"""Progress bars for every loop over images or epochs, and the share of a training that went by waiting for data."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from weakseg.harness import processes

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` behind a bar on stderr; where stderr is no terminal, one line each 30 seconds.

    Of processes that work together the first shows it, of its own share.
    """
    if not processes.is_first():
        yield from items
        return
    interval = 0.1 if sys.stderr.isatty() else 30.0
    yield from tqdm(items, desc=description, total=total, mininterval=interval, maxinterval=interval, leave=False)


class Waiting:
    """Seconds that a loop waited for its items, and those of all its work.

    A batch that the loop's own process reads and augments is waited for; one that workers had ready is not.
    """

    def __init__(self) -> None:
        self.waited = self.worked = 0.0

    @contextmanager
    def work(self) -> Iterator[None]:
        """Count the time until it ends as work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.worked += time.perf_counter() - start

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield `items`, and count the time until each is there as waited."""
        missing = object()
        source = iter(items)
        while True:
            start = time.perf_counter()
            item = next(source, missing)
            self.waited += time.perf_counter() - start
            if item is missing:
                return
            yield item  # type: ignore[misc]

    def say(self, name: str) -> None:
        """One line on stderr about it, of the first process; none where nothing was done."""
        if self.worked and processes.is_first():
            share = self.waited / self.worked
            print(f"{name}: {share:.0%} of {self.worked:.1f} s of training went by waiting for data", file=sys.stderr)
