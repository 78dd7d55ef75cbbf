"""Progress bars for every loop over images or epochs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
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
