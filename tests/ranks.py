"""Real stage commands on the drawn world, by one process and by several."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.closure import ROOT


def environment(folder: Path, **more: str) -> dict[str, str]:
    """That of a stage's command with a cache of its own."""
    clean = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    plain = {"PYTHONPATH": str(ROOT), "WEAKSEG_CACHE": str(folder / ".cache"), "TQDM_DISABLE": "1"}
    light = {"OMP_NUM_THREADS": "1", "WEAKSEG_WORKERS": "0", "GLOO_SOCKET_IFNAME": "lo"}
    return clean | plain | light | more


def start(folder: Path, stage: str, flags: str, **more: str) -> subprocess.Popen:
    """One process of a stage's command, or of another module with its whole name."""
    module = stage if "." in stage else f"stages.{stage}"
    return subprocess.Popen(
        [sys.executable, "-m", module, *flags.split()], cwd=folder, env=environment(folder, **more),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(folder: Path, stage: str, flags: str, **more: str) -> Any:
    """A stage's command, to its end: `returncode`, `stderr`."""
    with start(folder, stage, flags, **more) as process:
        process.stdout_text, process.stderr_text = process.communicate()  # type: ignore[attr-defined]
    return process


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(
    folder: Path, stage: str, flags: str, many: int, folders: Sequence[Path] = (), **more: str
) -> list[tuple[int, str]]:
    """Start as many processes as a launcher would, or one in each of `folders`; exit code and stderr of each."""
    meeting = {"WORLD_SIZE": str(many), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    places = folders or [folder] * many
    started = [start(place, stage, flags, RANK=str(rank), **meeting, **more) for rank, place in enumerate(places)]
    said = [process.communicate()[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]
