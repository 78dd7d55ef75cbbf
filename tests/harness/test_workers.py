"""Per-image work over processes: order, errors, and no pool for few items."""

from __future__ import annotations

import os

import pytest

from weakseg.errors import UserError
from weakseg.harness import workers


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def refused(number: int) -> int:
    if number == 70:
        raise UserError("image '70' is bad: replace it")
    return number


def test_few_items_stay_in_this_process() -> None:
    assert list(workers.ordered(squared, range(5))) == [(n**2, os.getpid()) for n in range(5)]
    assert list(workers.ordered(squared, [])) == []


def test_pool_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "2")
    found = list(workers.ordered(squared, range(100)))
    assert [value for value, _ in found] == [n**2 for n in range(100)]
    assert os.getpid() not in {process for _, process in found}


def test_pool_passes_errors_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "2")
    with pytest.raises(UserError, match="'70' is bad"):
        list(workers.ordered(refused, range(100)))


def test_one_worker_means_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "1")
    assert {process for _, process in workers.ordered(squared, range(100))} == {os.getpid()}


def test_threads_keep_order_and_pass_errors_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "3")
    assert list(workers.threaded(squared, range(100))) == [(n**2, os.getpid()) for n in range(100)]
    assert list(workers.threaded(squared, [])) == []
    with pytest.raises(UserError, match="'70' is bad"):
        list(workers.threaded(refused, range(100)))
