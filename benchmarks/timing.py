"""Contenders timed in turn, so that a slow moment of the machine hits all of them; ratios are taken within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Contender = Callable[[], object]
Times = dict[Key, list[float]]


def measure(
    work: Mapping[Key, Contender], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[Key, list[float]]:
    """Seconds of each contender in each round, after one round that does not count."""
    times: dict[Key, list[float]] = {key: [] for key in work}
    for number in range(rounds + 1):
        for key, run in work.items():
            start = clock()
            run()
            if number:
                times[key].append(clock() - start)
    return times


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; of one value itself."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def tabulate(times: Mapping[str, Sequence[float]], first: str) -> str:
    """A table of median seconds, quartiles, and how many times as long as each the contender `first` takes."""
    lines = [f"| what | median s | quartiles | {first} / it |", "|---|---|---|---|"]
    for name, values in times.items():
        low, middle, high = quartiles(values)
        lines.append(f"| {name} | {middle:.3f} | {low:.3f}-{high:.3f} | {ratio(times[first], values):.2f} |")
    return "\n".join(lines)
