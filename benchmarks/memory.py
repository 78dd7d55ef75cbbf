"""Peak memory and time of every stage for few and for many images: memory must not grow with their number.

    python -m benchmarks.memory --images 100 1000
    python -m benchmarks.memory --images 100 1000 10000     half an hour of one core

Runs the pipeline's own commands on drawn images in temporary folders; prints the largest resident size of each, and its
CPU seconds, start included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
FEWEST = 60  # training images with which every stage of the shortened pipeline runs
CHANGES = {
    "weights_from": "crm",
    "train_classifier.epochs": 1,
    "train_crm.epochs": 1,
    "train_segmenter.steps": 10,
    "train_segmenter.rounds": 0,
    "compare_erf.fit": "images",
    "evaluate_masks.most_images": 0,
    "evaluate_masks.replicates": 100,
}


def write_params(folder: Path, images: int) -> dict:
    """Default parameters with `images` training images and a tenth of that for testing, and training cut short."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["datasets"]["shapes"] |= {"train_images": images, "test_images": max(images // 10, 12)}
    params["networks"] = {"mobilenet": params["networks"]["mobilenet"]}
    for name, value in CHANGES.items():
        *parents, last = name.split(".")
        section = params[parents[0]] if parents else params
        section[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return params


def commands(folder: Path) -> dict[str, str]:
    """Resolved command of every stage, in order."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    for name in ("stages", "studies", "weakseg"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with redirect_stdout(sys.stderr):  # DVC's greeting is none of the results
        from dvc.repo import Repo

        found = Repo.init(str(folder), no_scm=True)
    with found as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
        order = list(yaml.safe_load((folder / "dvc.yaml").read_text())["stages"])
        return {key: stages[key].cmd for name in order for key in stages if key.split("@")[0] == name}


def measure(command: str, folder: Path) -> tuple[float, float]:
    """Largest resident size in MB of one command, and its CPU seconds."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(command, shell=True, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {command}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    counts = parser.parse_args().images
    found: dict[str, list[tuple[float, float]]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_params(folder, count)
            for stage, command in commands(folder).items():
                found.setdefault(stage, []).append(measure(command, folder))
    print("| stage | " + " | ".join(f"{count} images" for count in counts) + " | memory, last / first |")
    print("|---|" + "---|" * (len(counts) + 1))
    for stage, rows in found.items():
        cells = " | ".join(f"{size:.0f} MB, {spent:.1f} s" for size, spent in rows)
        print(f"| {stage} | {cells} | {rows[-1][0] / rows[0][0]:.2f} |")


if __name__ == "__main__":
    main()
