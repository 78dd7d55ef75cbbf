"""What a command costs before it computes, and what a second process saves: the pipeline's own commands.

    python -m benchmarks.starting start             `--help` of each stage, and DVC where there is nothing to do
    python -m benchmarks.starting scale             superpixels and activation maps by one process and by two

On drawn images in temporary folders. Seconds are those of the clock, as other processes are what is timed; beside the
start of a stage stands that of a Python that imports torch alone, and timm, as it is and as a stage does it. Processes
have one thread each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import memory

SHARED = {"compute_superpixels": "WEAKSEG_WORKERS", "generate_cams@mobilenet": "WEAKSEG_DEVICES"}
ROUNDS = 3


def seconds(command: str, folder: Path, **environment: str) -> float:
    """Seconds that a command takes; SystemExit where it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path, "PYTHONPATH": str(folder), **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - start


def middle(command: str, folder: Path, **environment: str) -> float:
    """The median of some rounds."""
    return statistics.median(seconds(command, folder, **environment) for _ in range(ROUNDS))


def show_starts(folder: Path, commands: dict[str, str]) -> None:
    """A table of stages, and of DVC once all is made."""
    bare = middle(f"{sys.executable} -c 'import torch'", folder)
    first = seconds("dvc repro", folder)
    rows = {"python -c 'import torch'": bare}
    for name, before in (
        ("", ""),
        (", the compiler put off", "from weakseg.harness import compiler; compiler.put_off(); "),
    ):
        rows[f"python -c 'import torch, timm'{name}"] = middle(
            f"{sys.executable} -c '{before}import torch, timm'", folder
        )
    for name in dict.fromkeys(stage.split("@")[0] for stage in commands):
        module = commands[next(key for key in commands if key.split("@")[0] == name)].split()[2]
        rows[f"python -m {module} --help"] = middle(f"{sys.executable} -m {module} --help", folder)
    for name in ("dvc status", "dvc repro --dry", "dvc repro"):
        rows[f"{name}, nothing to do"] = middle(name, folder)
    print(f"medians of {ROUNDS}; `dvc repro` from nothing, {memory.FEWEST} images: {first:.0f} s\n")
    print("| command | seconds | / import of torch |\n|---|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value:.2f} | {value / bare:.2f} |")


def show_scaling(folder: Path, commands: dict[str, str], images: int) -> None:
    """A table of the stages that share their work, after what they need; nothing kept is taken."""
    print(f"{images} training images, {os.cpu_count()} cores\n")
    print("| stage | one process, s | two, s | one / two |\n|---|---|---|---|")
    for name, command in commands.items():
        if name not in SHARED:
            seconds(command, folder)
        else:
            one, two = (
                seconds(
                    command, folder, OMP_NUM_THREADS="1", WEAKSEG_CACHE=str(folder / f"kept{name}{many}"),
                    **{SHARED[name]: many},
                )
                for many in ("1", "2")
            )  # fmt: skip
            print(f"| {name} | {one:.1f} | {two:.1f} | {one / two:.2f} |", flush=True)
        if name == list(SHARED)[-1]:
            return


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "scale"])
    parser.add_argument("--images", type=int, default=400, help="for scale")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, images = Path(name), arguments.images if arguments.what == "scale" else memory.FEWEST
        memory.write_params(folder, images)
        commands = memory.commands(folder)
        if arguments.what == "start":
            show_starts(folder, commands)
        else:
            show_scaling(folder, commands, images)


if __name__ == "__main__":
    main()
