"""Several processes that do one command's work together: which one this is, and what they tell each other.

Every process runs the same program on the same data and decides the same; what takes long they share. Plain
torch.distributed, over gloo on processors and NCCL on GPUs. Alone, which is the rule, nothing is imported and nothing
is sent: `gather` gives one value, `broadcast` the value itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from weakseg.errors import UserError
from weakseg.harness import device, memory

if TYPE_CHECKING:
    import torch.distributed as dist
    from torch import Tensor

Value = TypeVar("Value")
PATIENCE = timedelta(days=7)  # a process may wait that long for the share of another; that one died is told at once
WAIT = "300"  # seconds in which all have to be there
PORTS = 20000, 20000  # the first and how many, of which Slurm's number of the job chooses one
LOST = "another process of this command has ended before this one: what it says is the cause"


@dataclass(frozen=True)
class Place:
    """Which of `count` processes this is, from 0; `local`: which on its machine; `beside`: how many share its cores."""

    rank: int = 0
    count: int = 1
    local: int = 0
    beside: int = 1


class Finished(BaseException):
    """This process has done its share of the command, and ends well."""


class _Joined:
    """Where this process stands, and what those that have joined talk over."""

    place = Place()
    talk: Any = None
    tensors: Any = None  # the same, but between GPUs NCCL
    find_cause: Callable[[], str | None] = staticmethod(lambda: None)  # why another process has ended, if it is known


def place() -> Place:
    """Where this process stands; alone unless it has joined others."""
    return _Joined.place


def count() -> int:
    """How many processes there are."""
    return _Joined.place.count


def is_first() -> bool:
    """Whether this is the process that writes, and that shows progress."""
    return _Joined.place.rank == 0


def share(items: int) -> slice:
    """This process's part of so many items: each gets as many as the next, or one less, in order."""
    rank, many = _Joined.place.rank, _Joined.place.count
    return slice(items * rank // many, items * (rank + 1) // many)


def _number(name: str) -> int:
    """A number from the environment; UserError where it is none."""
    given = os.environ[name]
    if not given.isdecimal():
        raise UserError(f"{name} is '{given}', no number: a launcher such as torchrun or srun sets it, or unset it")
    return int(given)


def first_host(listed: str) -> str:
    """The first machine of Slurm's list of them: `gpu[07-09,12],login` gives gpu07."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", re.split(r",(?![^\[]*\])", listed)[0])


def _of_slurm() -> Place:
    """The place that srun gave; where the first process is to be met is left in the environment."""
    port = PORTS[0] + _number("SLURM_JOB_ID") % PORTS[1]
    os.environ.setdefault("MASTER_ADDR", first_host(os.environ["SLURM_STEP_NODELIST"]))
    os.environ.setdefault("MASTER_PORT", str(port))
    # Slurm gives each task cores of its own.
    return Place(_number("SLURM_PROCID"), _number("SLURM_STEP_NUM_TASKS"), _number("SLURM_LOCALID"))


def launched() -> Place | None:
    """The place that a launcher gave this process in the environment, torchrun's names or srun's; None without one.

    A batch script has no place: Slurm tells it of the tasks of a job, but has not started any. UserError where a number
    is none, or the rank is that of no process.
    """
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        rank, many = _number("RANK"), _number("WORLD_SIZE")
        local = _number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else rank
        found = Place(rank, many, local, _number("LOCAL_WORLD_SIZE") if "LOCAL_WORLD_SIZE" in os.environ else many)
    elif "SLURM_STEP_NUM_TASKS" in os.environ and "SLURM_PROCID" in os.environ:
        found = _of_slurm()
    else:
        return None
    if found.rank >= found.count:
        raise UserError(f"rank {found.rank} of {found.count} processes: the launcher numbers them from 0")
    return found


def _seconds() -> timedelta:
    given = os.environ.get("WEAKSEG_WAIT", WAIT)
    if not given.isdecimal():
        raise UserError(f"WEAKSEG_WAIT is '{given}': set it to a number of seconds, such as {WAIT}")
    return timedelta(seconds=int(given))


def _choose_gpu(where: Place) -> None:
    """Let "cuda" be this process's own GPU. UserError where there are fewer GPUs than processes on this machine."""
    import torch

    kind = device.pick().type
    if kind == "mps":
        raise UserError("several processes share work on CPUs or CUDA GPUs: unset WEAKSEG_DEVICE, or use one process")
    if kind != "cuda":
        return
    there = torch.cuda.device_count()
    # Slurm may show each task the one GPU that is its own.
    own = 0 if there == 1 and where.beside == 1 else where.local
    require_devices(max(own + 1, where.beside), there, "GPUs")
    torch.cuda.set_device(own)


def require_devices(wanted: int, there: int, kind: str) -> None:
    """UserError where more are wanted than there are."""
    if wanted > there:
        raise UserError(f"{wanted} processes on a machine that has {there} {kind}: ask for {there} (WEAKSEG_DEVICES)")


def join(where: Place, store: dist.Store | None = None) -> None:
    """Meet the other processes: at `store`, else where the environment says. UserError where they do not come."""
    import torch.distributed as dist

    _choose_gpu(where)
    limit = _seconds()
    try:
        if store is None:
            store = next(dist.rendezvous("env://", where.rank, where.count, timeout=limit))[0]
        dist.init_process_group("gloo", store=store, rank=where.rank, world_size=where.count, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"process {where.rank} of {where.count} has not met the others within {limit.seconds} seconds"
            f" (WEAKSEG_WAIT): start all of them with one launcher, and see MASTER_ADDR and MASTER_PORT"
            f" ({str(error).splitlines()[0][:100]})"
        ) from None
    _Joined.place, _Joined.talk = where, dist.group.WORLD
    _Joined.tensors = dist.new_group(backend="nccl") if device.pick().type == "cuda" else dist.group.WORLD


def explain_by(find_cause: Callable[[], str | None]) -> None:
    """Where another process has ended, say what `find_cause` finds."""
    _Joined.find_cause = staticmethod(find_cause)


def together(call: Callable[[], Value]) -> Value:
    """What a collective call gives; UserError where another process has ended."""
    try:
        return call()
    except RuntimeError as error:
        if memory.is_out_of_memory(error):
            raise
        raise UserError(_Joined.find_cause() or LOST) from None


def add_up(values: Tensor) -> Tensor:
    """The sum over all processes, in place; the same bits in each of them."""
    import torch.distributed as dist

    together(lambda: dist.all_reduce(values, group=_Joined.tensors))
    return values


def gather(value: Value) -> list[Value]:
    """The values of all processes, in their order; to be pickled, so no tensors of a GPU."""
    if count() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * count()
    together(lambda: dist.all_gather_object(found, value, group=_Joined.talk))
    return found


def broadcast(value: Value) -> Value:
    """The first process's value."""
    if count() == 1:
        return value
    import torch.distributed as dist

    found = [value]
    together(lambda: dist.broadcast_object_list(found, 0, group=_Joined.talk))
    return found[0]


def barrier() -> None:
    """Wait until all are here."""
    gather(None)


def agree(what: str, value: Any) -> None:
    """UserError, in all of them, where the processes have not all the same value of `what`."""
    values = gather(value)
    for rank, other in enumerate(values):
        if other != values[0]:
            raise UserError(
                f"process {rank} has other {what} than process 0: give all of them one project folder, the same"
                " environment and machines of one kind"
            )


def finish() -> None:
    """What is left to do is the first process's alone: all others end here, well."""
    if not is_first():
        raise Finished
