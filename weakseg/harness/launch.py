"""Starting the processes that share a command's work: one a device of this machine, or those that a launcher starts.

WEAKSEG_DEVICES=n: this process is the first, and starts n - 1 more with its own command line. They end with it, and it
with them. WEAKSEG_LAUNCH="srun ...": the command is given to that launcher, which tells each process its rank.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness import device, processes, workers
from weakseg.harness.processes import Place

TIED = "WEAKSEG_TIED"  # set in a process that ends with the one that started it
GIVEN = "WEAKSEG_LAUNCHED"  # set in a process that a launcher was asked to start
GRACE = 5.0  # seconds for a process to say by itself what became of it
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def _wished(environment: Mapping[str, str]) -> int:
    """`WEAKSEG_DEVICES`, 1 where it is not set; UserError where it is no number of devices."""
    given = environment.get("WEAKSEG_DEVICES") or "1"
    if not given.isdecimal() or int(given) == 0:
        raise UserError(f"WEAKSEG_DEVICES is '{given}': set it to a number of devices, such as 2, or unset it")
    if int(given) > 1 and environment.get("WEAKSEG_LAUNCH"):
        raise UserError("WEAKSEG_DEVICES and WEAKSEG_LAUNCH are both set: the launcher starts all processes, keep one")
    return int(given)


def hand_over() -> None:
    """Where `WEAKSEG_LAUNCH` is set, become that launcher, which starts this command line again and does not return.

    UserError: no such program, or a launcher that told its processes no rank.
    """
    words = shlex.split(os.environ.get("WEAKSEG_LAUNCH", ""))
    if not words:
        return
    if GIVEN in os.environ:
        if processes.launched() is None:
            raise UserError(
                f"WEAKSEG_LAUNCH is '{shlex.join(words)}', which tells no process its rank (RANK and WORLD_SIZE, or"
                " what srun sets): use torchrun or srun"
            )
        return
    _wished(os.environ)
    if Path(words[0]).name == "torchrun" and "--no-python" not in words:
        words.append("--no-python")
    os.environ[GIVEN] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(words[0], [*words, *_command()])
    except OSError as error:
        raise UserError(f"WEAKSEG_LAUNCH begins with '{words[0]}': {error.strerror}") from None


def _command() -> list[str]:
    """The command line of this process."""
    return [sys.executable, *sys.orig_argv[1:]]


_others: list[Others] = []


class Others:
    """The processes that this one has started, what they say on stderr, and how they end."""

    def __init__(self, many: int, port: int) -> None:
        self.done = False
        self.said = [tempfile.TemporaryFile("w+", errors="replace") for _ in range(1, many)]  # noqa: SIM115
        self.started = [
            subprocess.Popen(
                _command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
                env=os.environ | _told(rank, many, port),
            )
            for rank, said in enumerate(self.said, 1)
        ]  # fmt: skip
        for one in self.started:
            threading.Thread(target=self._watch, args=(one,), daemon=True).start()

    def _watch(self, one: subprocess.Popen) -> None:
        """End this process soon after another one has failed, unless it does so by itself, or all work is done."""
        if one.wait() and not self.done:
            time.sleep(GRACE)
            print(f"{Path(sys.argv[0]).stem}: {self.find_cause()}", file=sys.stderr, flush=True)
            os._exit(1)

    def wait(self) -> None:
        """Give them time to end and to tidy up, now that all work is done."""
        self.done = True
        until = time.monotonic() + 2 * GRACE
        for one in self.started:
            with suppress(subprocess.TimeoutExpired):
                one.wait(max(0.0, until - time.monotonic()))

    def find_cause(self) -> str | None:
        """Why the first of them that failed did, once one has; None if none does within some seconds."""
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            causes = [self._cause(place) for place, one in enumerate(self.started) if one.poll()]
            known = [cause for cause in causes if processes.LOST not in cause]
            if known:
                return known[0]
            time.sleep(0.05)
        return None

    def _cause(self, place: int) -> str:
        """The sentence of one that failed; of a bug its traceback goes to stderr before it."""
        code = self.started[place].returncode
        if code < 0:
            return (
                f"process {place + 1} was killed ({signal.Signals(-code).name}), as the system does when memory runs"
                " out: run again, what is finished is kept"
            )
        self.said[place].seek(0)
        lines = self.said[place].read().strip().splitlines()
        if any(line.startswith("Traceback") for line in lines):
            print("\n".join(lines), file=sys.stderr)
        return f"process {place + 1}: {lines[-1].partition(': ')[2] or lines[-1]}" if lines else f"code {code}"


def _told(rank: int, many: int, port: int) -> dict[str, str]:
    """What one of them is told in its environment, by torchrun's names."""
    place = {"RANK": rank, "WORLD_SIZE": many, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": many}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, TIED: 1}
    return {name: str(value) for name, value in (place | meeting).items()}


def _tie() -> None:
    """End this process when the one that started it is gone, which closes its stdin."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _start(many: int) -> None:
    """Start the others and meet them; UserError where there are fewer devices."""
    import torch
    import torch.distributed as dist

    gpu = device.pick().type == "cuda"
    there = torch.cuda.device_count() if gpu else workers.cores()
    processes.require_devices(many, there, "GPUs" if gpu else "cores")
    if sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    store = dist.TCPStore("127.0.0.1", 0, many, is_master=True, wait_for_workers=False)
    others = Others(many, store.port)
    _others.append(others)
    processes.explain_by(others.find_cause)
    processes.join(Place(0, many, 0, many), store)


def begin(devices: bool) -> None:
    """Join the processes of this command, or start them; alone where neither a launcher nor the environment says else.

    devices: whether the command computes on devices, so that WEAKSEG_DEVICES counts for it. One that computes on
    processors uses all of a machine's already.
    """
    where = processes.launched()
    if where is not None:
        if TIED in os.environ:
            _tie()
        if where.count > 1:
            processes.join(where)
    elif devices and (many := _wished(os.environ)) > 1:
        _start(many)


def end() -> None:
    """Wait for the processes that this one has started: the work is done."""
    for others in _others:
        others.wait()


def is_spare() -> bool:
    """Whether a launcher started this process for a share of a command that shares nothing."""
    where = processes.launched()
    return where is not None and where.rank > 0
