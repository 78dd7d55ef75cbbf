"""weakseg collect: real experiments of a tiny pipeline become one CSV, one plot and one comparison."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from dvc.repo import Repo

from weakseg.cli.__main__ import main

PARAMETERS = """\
seed: 1
compare_erf: {resamples: 99}
train_classifier: {digit: 1}
networks: {resnet: {digit: 1}, slak: {digit: 2}, unet: {digit: 4}}
"""
TRAIN = """\
stages:
  train:
    foreach: ${networks}
    do:
      cmd: mkdir -p models && echo ${train_classifier.digit} > models/${key}.txt
      outs:
        - models/${key}.txt
"""
EVALUATION = """\
  FOLDER:
    foreach: ${networks}
    do:
      cmd: mkdir -p metrics/FOLDER && echo '{"METRIC":NUMBER}' > metrics/FOLDER/${key}.json
      deps:
        - models/${key}.txt
      metrics:
        - metrics/FOLDER/${key}.json: {cache: false}
"""
EVALUATIONS = (
    ("boxes", "max_box_acc", "0.${train_classifier.digit}${item.digit}"),
    ("erf", "erf", "0.0${train_classifier.digit}"),
    ("labels", "accuracy", "0.5"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A pipeline of three networks, and two experiments that did not run the evaluation of labels again."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "a")
            patch.setenv(f"GIT_{name}_EMAIL", "a@b")
        Path("params.yaml").write_text(PARAMETERS)
        names = ("FOLDER", "METRIC", "NUMBER")
        parts = [EVALUATION for _ in EVALUATIONS]
        for number, values in enumerate(EVALUATIONS):
            for name, value in zip(names, values, strict=True):
                parts[number] = parts[number].replace(name, value)
        Path("dvc.yaml").write_text("".join([TRAIN, *parts]))
        subprocess.run(["git", "init", "-q"], check=True)
        with Repo.init() as repo:
            repo.reproduce()
            for command in (["add", "-A"], ["commit", "-qm", "default"]):
                subprocess.run(["git", *command], check=True)
            for digit in (2, 3):
                changes = [f"train_classifier.digit={digit}"]
                repo.experiments.run(targets=["boxes", "erf"], name=f"digit{digit}", params=changes)
        yield folder


def collect(*arguments: str) -> int:
    return main(["collect", "--table", "sweep.csv", "--plot", "sweep.png", "--relation", "both.csv", *arguments])


def test_one_row_a_network_with_boxes_and_field(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(project)
    assert collect() == 0
    assert "2 experiments, 6 rows; 0 failed" in capsys.readouterr().out
    found = pd.read_csv("sweep.csv")
    assert list(found["experiment"]) == ["digit2", "digit3"] * 3
    assert list(found["network"]) == ["resnet", "resnet", "slak", "slak", "unet", "unet"]
    assert list(found["digit"]) == [2, 3] * 3 and list(found["network.digit"]) == [1, 1, 2, 2, 4, 4]
    assert found["max_box_acc"].tolist() == pytest.approx([0.21, 0.31, 0.22, 0.32, 0.24, 0.34])
    assert found["erf"].tolist() == pytest.approx([0.02, 0.03] * 3)
    assert Path("sweep.png").read_bytes().startswith(b"\x89PNG")


def test_comparison_over_all_rows_within_and_between_networks(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(project)
    assert collect("--compare", "--group", "network") == 0
    assert "max_box_acc over erf" in capsys.readouterr().out
    found = pd.read_csv("both.csv").set_index("over")
    assert list(found.index) == ["pooled", "within"], "three networks are too few to compare between"
    assert found.loc["within", "r"] == pytest.approx(1) and found.loc["within", "slope"] == pytest.approx(10)
    assert Path("both.png").read_bytes().startswith(b"\x89PNG")


def test_a_metric_that_the_experiments_did_not_measure_is_no_metric_of_theirs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(project)
    assert collect("--metric", "max_box_acc", "accuracy") == 1
    assert "no experiment has measured the metric 'accuracy'" in capsys.readouterr().err
