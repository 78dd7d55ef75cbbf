"""Stages as a user runs them, on a machine with faults: one sentence, exit code 1, nothing half written, then on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.closure import ROOT
from tests.contents import content
from tests.parameters import changed, entries
from tests.world import World
from tests.world_networks import save_classifier
from weakseg.artifacts.formats import zips

WORLD = World(train=6, val=2, test=2)
CHANGES = {
    "networks": entries("mobilenet", "resnet"),
    "compute_superpixels": {"count": 40, "longest": 64},
    "generate_cams": {"image_size": 32, "batch_size": 4, "projection_images": 2},
    "train_classifier": {"image_size": 32, "epochs": 2, "batch_size": 4},
}
SUPERPIXELS = "--images images --labels labels.csv --out out/superpixels"
CAMS = (
    "--network resnet --classifier classifier.safetensors --images images --labels labels.csv --out out/cams"
    " --known out/known"
)
TRAIN = (
    "--network resnet --images images --labels labels.csv --weights weights.safetensors --out out/c.safetensors"
    " --checkpoints out/kept --predictions out/p.csv"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, labels, a classifier, and params.yaml."""
    from weakseg.networks.weight_files import fetch_weights

    WORLD.write(tmp_path, "images", "labels")
    save_classifier(tmp_path / "classifier.safetensors")
    fetch_weights.write_none(tmp_path / "weights.safetensors", "random")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(CHANGES)))
    return tmp_path


def run(folder: Path, stage: str, flags: str, limit: int | None = None, **environment: str) -> Any:
    """Run a stage; `limit`: bytes that a file may have."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *flags.split()],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", **environment},
        capture_output=True, text=True, check=False, preexec_fn=limited(limit),
    )  # fmt: skip


def limited(limit: int | None) -> Callable[[], None] | None:
    """What limits the size of files in a new process; writing more is an error there, as on a full disk."""

    def set_limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return None if limit is None else set_limit


def files(folder: Path) -> list[str]:
    return sorted(content(folder)) if folder.exists() else []


@pytest.mark.parametrize(
    ("stage", "flags", "limit"),
    [("compute_superpixels", SUPERPIXELS, 2000), ("generate_cams", CAMS, 9000), ("train_classifier", TRAIN, 9000)],
)
def test_a_disk_that_is_full_while_writing(folder: Path, stage: str, flags: str, limit: int) -> None:
    full = run(folder, stage, flags, limit)
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1 and full.stderr.startswith(f"{stage}: "), full.stderr
    assert "a limit (ulimit -f) allows no larger file" in full.stderr and "what is finished is kept" in full.stderr
    assert files(folder / "out") == []
    again = run(folder, stage, flags)
    assert again.returncode == 0, again.stderr
    once = content(folder / "out")
    fresh = run(folder, stage, flags, WEAKSEG_CACHE=str(folder / "fresh"))
    assert fresh.returncode == 0 and once == content(folder / "out")


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    told = run(folder, "compute_superpixels", SUPERPIXELS.replace("out/", "/sys/kernel/weakseg/"))
    assert told.returncode == 1 and told.stderr.count("\n") == 1, told.stderr
    assert "/sys/kernel/weakseg" in told.stderr and "work in" in told.stderr
    told = run(folder, "compute_superpixels", SUPERPIXELS, WEAKSEG_CACHE="/sys/kernel/weakseg")
    assert told.returncode == 1 and "/sys/kernel/weakseg" in told.stderr


@pytest.mark.parametrize("name", ["images", "classifier.safetensors"])
def test_an_input_that_is_cut_short(folder: Path, name: str) -> None:
    path = next((folder / name).glob("*.zip"), folder / name)
    path.write_bytes(path.read_bytes()[:-200])
    told = run(folder, "generate_cams", CAMS)
    assert told.returncode == 1 and told.stderr.count("\n") == 1, told.stderr
    assert name in told.stderr and "rerun the stage that writes it" in told.stderr
    assert files(folder / "out") == []


def test_the_same_command_twice_at_a_time(folder: Path) -> None:
    """The first is held where it begins: what it imports takes longer than to stop it."""
    command = [sys.executable, "-m", "stages.generate_cams", *CAMS.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as first:
        running = folder / ".cache" / "running"
        while not files(running) and first.poll() is None:
            time.sleep(0.001)
        first.send_signal(signal.SIGSTOP)
        told = run(folder, "generate_cams", CAMS)
        assert told.returncode == 1, "the first one was done before the second began"
        assert f"process {first.pid} runs the same command in this folder: wait until it is done" in told.stderr
        first.send_signal(signal.SIGCONT)
    assert first.returncode == 0 and zips.Archive(folder / "out/cams").names() == WORLD.names


def test_a_locale_without_utf_8(folder: Path) -> None:
    """Names of classes with letters that ASCII lacks, in labels.csv, params.yaml and what is told."""
    (folder / "labels.csv").write_bytes((folder / "labels.csv").read_bytes().replace(b"green", "grün".encode()))
    params = folder / "params.yaml"
    params.write_bytes("# Größen in Pixeln\n".encode() + params.read_bytes())
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = run(folder, "train_classifier", TRAIN, **plain)
    assert found.returncode == 0, found.stderr
    assert "p_grün" in (folder / "out/p.csv").read_text(encoding="utf-8")
    told = run(folder, "generate_cams", CAMS, **plain)
    assert told.returncode == 1 and r"has label 'gr\xfcn', which the classifier lacks" in told.stderr
