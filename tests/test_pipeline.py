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
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests import closure
from tests.parameters import apply_presets
from tests.promises import MOST_METRICS, WEAK

COPIED = ("stages", "studies", "weakseg", "dvc.yaml", "params.yaml", ".dvcignore")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str, shell: bool = False) -> subprocess.CompletedProcess:
    arguments = command[0] if shell else command
    return subprocess.run(
        arguments, cwd=folder, env=ENVIRONMENT, shell=shell, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smoke preset has run."""
    folder = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = closure.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "dvc.*"))
        else:
            shutil.copy(source, folder / name)
    apply_presets(folder / "params.yaml", "smoke")
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


def dirtied(folder: Path, name: str) -> set[str]:
    """Stages that DVC would rerun after the code was listed again, when a line is added to a source file."""
    path = folder / name
    before = path.read_text()
    path.write_text(before + "\n# edited\n")
    assert run(folder, "dvc", "repro", "hash_code").returncode == 0
    found = changed(folder)
    path.write_text(before)
    assert run(folder, "dvc", "repro", "hash_code").returncode == 0
    return found


def test_a_second_run_does_nothing(project: Path) -> None:
    result = run(project, "dvc", "repro")
    assert "Running stage" not in result.stdout and changed(project) == set()


def test_editing_an_unused_choice_dirties_nothing_and_a_used_one_one_stage(project: Path) -> None:
    assert dirtied(project, "weakseg/cams/methods/layercam.py") == set()
    assert dirtied(project, "weakseg/cams/methods/gradcampp.py") == {"generate_cams@mobilenet"}


def test_switching_a_method_leaves_what_comes_before(project: Path) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    path.write_text(before.replace("method: gradcampp", "method: layercam"))
    assert changed(project) == {"check_params", "generate_cams@mobilenet"}
    path.write_text(before)


def test_adding_a_network_trains_only_the_new_one(project: Path) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    entry = {"backbone": "slak", "variant": "small", "weights": "random", "train": {}, "cams": {}, "distill": {}}
    params = yaml.safe_load(before)
    path.write_text(yaml.safe_dump(params | {"networks": params["networks"] | {"mine": entry}}, sort_keys=False))
    dirty = changed(project)
    path.write_text(before)
    per_network = {name for name in dirty if "@" in name}
    assert per_network and all(name.endswith("@mine") for name in per_network)
    assert dirty - per_network <= {"check_params", "download_weights", "compare_erf", "write_report"}


@pytest.mark.parametrize(
    ("part", "expected"),
    [("train", "train_classifier@mobilenet"), ("cams", "generate_cams@mobilenet"), ("distill", "distill_cams")],
)
def test_what_an_entry_wants_different_dirties_its_stage_alone(project: Path, part: str, expected: str) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["networks"]["mobilenet"][part]["batch_size"] = 8
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    dirty = changed(project)
    path.write_text(before)
    assert dirty == {expected, "check_params", "download_weights", "compare_erf", "write_report"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("weakseg/evaluation/boxes/max_box_acc.py", {"evaluate_boxes@mobilenet"}),
        ("weakseg/networks/backbones/slak.py", set()),
        ("weakseg/networks/backbones/mobilenet.py", {"train_classifier@mobilenet"}),
    ],
)
def test_editing_a_file_dirties_what_it_can_change(project: Path, name: str, expected: set[str]) -> None:
    assert dirtied(project, name) == expected


def test_what_cannot_change_a_number_is_not_even_listed(project: Path) -> None:
    for name in ("weakseg/harness/progress.py", "weakseg/errors.py", "weakseg/cli/inspect.py"):
        path = project / name
        before = path.read_text()
        path.write_text(before + "\n# edited\n")
        assert changed(project) == set()
        path.write_text(before)


def test_a_wrong_parameter_stops_the_run_at_once_and_names_every_problem(project: Path) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["train_segmenter"]["stepz"] = 3
    params["generate_cams"]["method"] = "gradcampq"
    params["networks"]["mobilenet"]["backbone"] = "mobilenot"
    params["networks"]["other"] = params["networks"]["mobilenet"] | {"backbone": "resnet", "weights": "/no/such/file"}
    params["mask_network"] = "none"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    result = run(project, "dvc", "repro")
    path.write_text(before)
    assert result.returncode != 0 and "Running stage 'train" not in result.stdout
    for problem in (
        "train_segmenter.stepz is unknown",
        "generate_cams.method: unknown choice 'gradcampq' for methods: choose one of cam,",
        "networks.mobilenet.backbone: unknown choice 'mobilenot' for backbones: choose one of",
        "mask_network is 'none': choose one of mobilenet, other",
    ):
        assert problem in result.stderr, result.stderr
    mended = run(project, "dvc", "repro")
    assert mended.returncode == 0 and "Running stage 'download" not in mended.stdout, mended.stdout


def test_weak_stages_give_the_same_bytes_without_ground_truth(project: Path) -> None:
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    (project / "data/truth").rename(project / "elsewhere")
    try:
        for name in WEAK:
            for stage in (key for key in lock if key.split("@")[0] == name):
                result = run(project, f"WEAKSEG_CACHE=forgotten {lock[stage]['cmd']}", shell=True)
                assert result.returncode == 0, f"{stage}: {result.stderr[-2000:]}"
    finally:
        (project / "elsewhere").rename(project / "data/truth")
    assert changed(project) == set()


def test_a_finished_network_runs_through_as_it_is(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder, symlinks=True)
    trained = folder / "models/classifier/mobilenet.safetensors"
    state = load_file(trained)
    with safe_open(trained, framework="np") as file:
        facts = json.loads(file.metadata()["weakseg"])
    order = [3, 0, 5, 1, 4, 2]
    rows = {key: value[order] for key, value in state.items() if key.startswith("head.linear.")}
    save_file(state | rows, folder / "foreign.safetensors", metadata={"weakseg": json.dumps({"backbone": "mobilenet"})})
    (folder / "names.txt").write_text("".join(f"{facts['classes'][number].upper()}\n" for number in order))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    entry = {"weights": "foreign.safetensors", "classes": "names.txt", "train": "none"}
    params["networks"]["mine"] = params["networks"]["mobilenet"] | entry
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    result = run(folder, "dvc", "repro")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Running stage 'train_classifier@mobilenet'" not in result.stdout
    for pattern in (
        "data/predictions/classifier/{}.csv",
        "metrics/labels/{}.json",
        "metrics/boxes/{}.json",
        "metrics/erf/{}.json",
    ):
        assert (folder / pattern.format("mine")).read_bytes() == (folder / pattern.format("mobilenet")).read_bytes()
    assert run(folder, "dvc", "plots", "show").returncode == 0


def test_the_report_is_there_and_metrics_are_few_fractions(project: Path) -> None:
    assert (project / "report/report.html").stat().st_size > 10_000
    found = {path: json.loads(path.read_text()) for path in (project / "metrics").rglob("*.json")}
    assert len(found) == 5
    for path, metrics in found.items():
        assert 0 < len(metrics) <= MOST_METRICS, path
        assert all(-1 <= value <= 1 and value == round(value, 4) for value in metrics.values()), path
