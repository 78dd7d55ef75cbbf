"""weakseg collect: DVC's table of experiments becomes one CSV and one plot."""

from __future__ import annotations

from pathlib import Path

import dvc.api
import pandas as pd
import pytest

from weakseg.cli.__main__ import main
from weakseg.errors import UserError
from weakseg.figures import sweeps

SECTIONS = {"seed", "train_classifier", "measure_erf"}


def experiment(name: str | None, rate: float, size: int, score: float, state: str | None = "Success") -> dict:
    """One row as DVC gives it, of two networks."""
    row = {"Experiment": name, "rev": "abc", "State": state, "seed": 1.0, "weakseg/boxes.py": "d41d8c"}
    row |= {"train_classifier.learning_rate": rate, "train_classifier.image_size": float(size)}
    row |= {
        f"metrics/evaluate_boxes/{network}.json:max_box_acc": score + 0.1 * (network == "slak")
        for network in ("resnet", "slak")
    }
    return row | {"metrics/evaluate_classifier/resnet.json:test_accuracy": 0.9}


EXPERIMENTS = [
    experiment(None, 0.1, 96, 0.5, None),
    experiment("calm-fish", 0.1, 96, 0.5),
    experiment("bold-cat", 0.2, 96, 0.6),
    experiment("gray-dog", 0.4, 96, 0.0, "Failed"),
]


def test_table_by_hand():
    found = sweeps.table(EXPERIMENTS, SECTIONS, ["max_box_acc"])
    assert found.to_dict("list") == {
        "experiment": ["calm-fish", "bold-cat", "calm-fish", "bold-cat"],
        "network": ["resnet", "resnet", "slak", "slak"],
        "learning_rate": [0.1, 0.2, 0.1, 0.2],
        "max_box_acc": [0.5, 0.6, 0.6, 0.7],
    }


def test_one_network_is_named_by_its_parameter():
    rows = [{"Experiment": "calm-fish", "backbones": "['resnet']", "max_box_acc": 0.5}]
    assert list(sweeps.table(rows, SECTIONS, ["max_box_acc"])["network"]) == ["resnet"]
    rows = [{"Experiment": "calm-fish", "backbones": "['resnet', 'slak']", "accuracy": 0.5}]
    assert list(sweeps.table(rows, SECTIONS, ["accuracy"])["network"]) == [""]


def test_names_that_would_be_alike_stay_whole():
    rows = [row | {"measure_erf.image_size": number} for number, row in enumerate(EXPERIMENTS[1:3])]
    rows[1]["train_classifier.image_size"] = 128.0
    assert set(sweeps.varied(rows, SECTIONS).values()) == {
        "learning_rate",
        "measure_erf.image_size",
        "train_classifier.image_size",
    }


def test_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 1\ntrain_classifier: {}\n")
    monkeypatch.setattr(dvc.api, "exp_show", lambda num: EXPERIMENTS)
    assert main(["collect", "--metric", "max_box_acc", "--table", "sweep.csv", "--plot", "sweep.png"]) == 0
    assert "2 experiments, 4 rows; 1 failed" in capsys.readouterr().out
    assert len(pd.read_csv("sweep.csv")) == 4 and Path("sweep.png").read_bytes().startswith(b"\x89PNG")


def test_refusals():
    with pytest.raises(UserError, match="there is no finished experiment"):
        sweeps.table(EXPERIMENTS[:1], SECTIONS, ["max_box_acc"])
    with pytest.raises(UserError, match="no experiment has the metric 'beauty'"):
        sweeps.table(EXPERIMENTS, SECTIONS, ["max_box_acc", "beauty"])
