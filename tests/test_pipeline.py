"""The whole graph by `dvc repro` on a few drawn images: reruns only what changed, and needs no ground truth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import closure
from tests.test_architecture import WEAK

COPIED = ("stages", "weakseg", "dvc.yaml", "params.yaml", ".dvcignore")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str, shell: bool = False) -> subprocess.CompletedProcess:
    arguments = command[0] if shell else command
    return subprocess.run(
        arguments, cwd=folder, env=ENVIRONMENT, shell=shell, capture_output=True, text=True, check=False
    )


def set_params(path: Path, preset: Path) -> None:
    """Write the `-S key=value` lines of a preset into params.yaml."""
    params = yaml.safe_load(path.read_text())
    for line in preset.read_text().splitlines():
        name, _, value = line.removeprefix("-S ").partition("=")
        *parents, last = name.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        assert last in section, f"{preset}: {name} is no parameter"
        section[last] = yaml.safe_load(value)
    path.write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smoke preset has run."""
    folder = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = closure.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    set_params(folder / "params.yaml", closure.ROOT / "presets/smoke")
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
        assert run(folder, *command).returncode == 0
    result = run(folder, "dvc", "repro")
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def changed(folder: Path) -> set[str]:
    """Stages that DVC would rerun."""
    result = run(folder, "dvc", "status", "--json")
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def test_a_second_run_does_nothing(project: Path) -> None:
    result = run(project, "dvc", "repro")
    assert "Running stage" not in result.stdout and changed(project) == set()


def test_editing_an_unused_choice_dirties_nothing_and_a_used_one_one_stage(project: Path) -> None:
    for name, expected in (("cams/methods/layercam", set()), ("cams/methods/gradcampp", {"generate_cams@mobilenet"})):
        path = project / f"weakseg/{name}.py"
        before = path.read_text()
        path.write_text(before + "\n# edited\n")
        assert changed(project) == expected
        path.write_text(before)


def test_switching_a_method_leaves_what_comes_before(project: Path) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    path.write_text(before.replace("method: gradcampp", "method: layercam"))
    assert changed(project) == {"generate_cams@mobilenet"}
    path.write_text(before)


def test_adding_a_backbone_trains_only_the_new_one(project: Path) -> None:
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    before = path.read_text()
    path.write_text(yaml.safe_dump(params | {"backbones": [*params["backbones"], "slak"]}, sort_keys=False))
    dirty = changed(project)
    path.write_text(before)
    per_backbone = {name for name in dirty if "@" in name}
    assert per_backbone and all(name.endswith("@slak") for name in per_backbone)
    assert dirty - per_backbone <= {"compare_erf", "write_report"}


def test_weak_stages_give_the_same_bytes_without_ground_truth(project: Path) -> None:
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    (project / "data/truth").rename(project / "elsewhere")
    try:
        for name in WEAK:
            for stage in (key for key in lock if key.split("@")[0] == name):
                result = run(project, lock[stage]["cmd"], shell=True)
                assert result.returncode == 0, f"{stage}: {result.stderr[-2000:]}"
    finally:
        (project / "elsewhere").rename(project / "data/truth")
    assert changed(project) == set()


def test_the_report_and_every_metric_are_there(project: Path) -> None:
    assert (project / "report/report.html").stat().st_size > 10_000
    masks = json.loads((project / "metrics/evaluate_masks.json").read_text())
    assert all(isinstance(value, (int, float)) for value in masks.values())
