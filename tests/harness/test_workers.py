"""Per-image work over processes: order, errors, and no pool for few items."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.closure import ROOT
from weakseg.errors import UserError
from weakseg.harness import workers


def squared(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def refused(number: int) -> int:
    if number == 70:
        raise UserError("image '70' is bad: replace it")
    return number


def dying(number: int) -> int:
    if number == 70:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(number: int) -> int:
    print(os.getpid(), flush=True)
    time.sleep(60)
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


def test_a_worker_that_dies_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "2")
    with pytest.raises(UserError, match=r"a worker process was killed.*: set WEAKSEG_WORKERS to fewer and run again"):
        list(workers.ordered(dying, range(100)))


def is_there(process: int) -> bool:
    """Whether a process is there and no zombie."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_of_a_killed_process_go_too() -> None:
    code = "from tests.harness import test_workers as t; list(t.workers.ordered(t.slow, range(100)))"
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n    {code}"]
    environment = {**os.environ, "WEAKSEG_WORKERS": "2"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as parent:
        assert parent.stdout is not None
        found = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        parent.wait()
    for _ in range(300):
        if not any(map(is_there, found)):
            return
        time.sleep(0.1)
    raise AssertionError(f"{found} are still there")


def test_a_wrong_number_of_workers_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "many")
    for ask in (workers.workers, workers.count):
        with pytest.raises(UserError, match="WEAKSEG_WORKERS is 'many': set it to a number of processes"):
            ask()


def write(system: Path, **files: str) -> Path:
    """A system's files, __ for a slash and _dot_ for a dot."""
    for name, text in files.items():
        path = system / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return system


def test_cores_are_those_of_the_container_and_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.cpu_count` says what the machine has, whatever a container or a job may use of it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(48)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert workers.cores(tmp_path / "bare") == 48
    group = write(tmp_path, proc__self__cgroup="0::/pod/one\n", sys__fs__cgroup__pod__one__cpu_dot_max="max 100000")
    assert workers.cores(group) == 48
    assert workers.cores(write(group, sys__fs__cgroup__pod__cpu_dot_max="350000 100000")) == 3, "of the group above"
    assert workers.cores(write(tmp_path / "whole", sys__fs__cgroup__cpu_dot_max="50000 100000")) == 1, "half a core"
    old = {
        "sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us": "700000",
        "sys__fs__cgroup__cpu__cpu_dot_cfs_period_us": "100000",
    }
    assert workers.cores(write(tmp_path / "old", **old)) == 7
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    assert workers.cores(tmp_path / "bare") == 5 and workers.cores(group) == 3
    monkeypatch.delenv("WEAKSEG_WORKERS", raising=False)
    assert workers.count() <= 5 and workers.workers() <= 3
