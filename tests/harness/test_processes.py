"""Which process this is, by what launchers say, and what is its share."""

from __future__ import annotations

import os

import pytest

from weakseg.errors import UserError
from weakseg.harness import processes
from weakseg.harness.processes import Place

LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID",
             "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_LOCALID", "SLURM_JOB_ID")  # fmt: skip


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without a launcher."""
    for name in LAUNCHERS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def tell(environment: pytest.MonkeyPatch, **values: object) -> Place | None:
    for name, value in values.items():
        environment.setenv(name, str(value))
    return processes.launched()


def test_alone_a_share_is_all_and_what_is_told_stays() -> None:
    assert processes.place() == Place(0, 1) and processes.is_first()
    assert processes.share(7) == slice(0, 7)
    value = object()
    assert processes.gather(value) == [value] and processes.broadcast(value) is value
    processes.barrier()
    processes.agree("anything", value)
    processes.finish()


@pytest.mark.parametrize("items", [0, 1, 2, 7, 9])
def test_shares_are_in_order_and_differ_by_one_at_most(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for rank in range(3):
        monkeypatch.setattr(processes._Joined, "place", Place(rank, 3))
        parts.append(list(range(items))[processes.share(items)])
    assert sum(parts, []) == list(range(items))  # noqa: RUF017
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_torchrun_says_where_a_process_stands(environment: pytest.MonkeyPatch) -> None:
    assert tell(environment) is None
    assert tell(environment, RANK=5, WORLD_SIZE=8) == Place(5, 8, 5, 8)
    assert tell(environment, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4) == Place(5, 8, 1, 4)
    with pytest.raises(UserError, match="rank 8 of 8 processes"):
        tell(environment, RANK=8)


def test_srun_says_it_too_and_a_batch_script_is_no_process_of_its_job(environment: pytest.MonkeyPatch) -> None:
    batch = {"SLURM_PROCID": 0, "SLURM_LOCALID": 0, "SLURM_JOB_ID": 41234, "SLURM_NTASKS": 8}
    assert tell(environment, **batch) is None
    step = {"SLURM_STEP_NUM_TASKS": 8, "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_PROCID": 5, "SLURM_LOCALID": 1}
    assert tell(environment, **step) == Place(5, 8, 1)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("gpu07", "21234")


@pytest.mark.parametrize(
    ("listed", "first"),
    [("gpu[07-09,12],login", "gpu07"), ("node3", "node3"), ("a1,a2", "a1"), ("r[1,3]-x", "r1-x"), ("n[08]", "n08")],
)
def test_the_first_machine_of_a_list(listed: str, first: str) -> None:
    assert processes.first_host(listed) == first
