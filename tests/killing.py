"""Stages in processes of their own, killed at moments that a seed draws, then run again."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import few_images

PRELOADED = ["torch", "timm", "pandas", "skimage.segmentation", "safetensors.torch", "pydantic", "matplotlib"]
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Job:
    """A stage's command, the folder it runs in, and what it writes there."""

    command: str
    folder: Path
    outputs: list[str]

    def start(self, cache: Path) -> multiprocessing.process.BaseProcess:
        """Begin; libraries are imported once, in the server that processes fork from."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        environment = {"WEAKSEG_CACHE": str(cache), "WEAKSEG_WORKERS": "0", "TQDM_DISABLE": "1"}
        process = context.Process(target=_work, args=(self.command, self.folder, environment))
        self.remove()
        process.start()
        return process

    def run(self, cache: Path) -> float:
        """Run to the end; how many seconds it took."""
        begun = time.monotonic()
        process = self.start(cache)
        process.join()
        assert process.exitcode == 0, self.command
        return time.monotonic() - begun

    def kill(self, cache: Path, after: float) -> bool:
        """Run, and kill after some seconds; whether it was still at work."""
        process = self.start(cache)
        process.join(after)
        process.kill()
        process.join()
        assert process.exitcode in (0, KILLED), self.command
        return process.exitcode == KILLED

    def digests(self) -> dict[str, str]:
        """Digests of all files of the outputs, whatever lies beside them."""
        paths = [self.folder / output for output in self.outputs]
        files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}

    def remove(self) -> None:
        """Remove the outputs, as DVC does before a stage runs again."""
        for output in self.outputs:
            path = self.folder / output
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _work(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    os.environ |= environment
    os.chdir(folder)
    import torch

    torch.set_num_threads(1)
    few_images.execute(command)


def survive(job: Job, cache: Path, chance: random.Random, kills: int) -> int:
    """Run a job from nothing, kill it that often, run it to its end; how many kills met it at work.

    Asserts that its outputs are those that a run that was never killed left there.
    """
    expected = job.digests()
    whole = job.run(cache / "whole")
    assert job.digests() == expected, "not repeatable, killed or not"
    met = sum(job.kill(cache / "killed", chance.uniform(0, whole)) for _ in range(kills))
    job.run(cache / "killed")
    assert job.digests() == expected, "killed and run again, it ended otherwise"
    return met
