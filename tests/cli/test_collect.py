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
    found = sweeps.tabulate(EXPERIMENTS, SECTIONS, ["max_box_acc"])
    assert found.to_dict("list") == {
        "experiment": ["calm-fish", "bold-cat", "calm-fish", "bold-cat"],
        "network": ["resnet", "resnet", "slak", "slak"],
        "learning_rate": [0.1, 0.2, 0.1, 0.2],
        "max_box_acc": [0.5, 0.6, 0.6, 0.7],
    }


def test_one_network_is_named_by_its_parameter():
    row = {"Experiment": "calm-fish", "networks.resnet.backbone": "resnet", "networks.resnet.variant": "18"}
    rows = [row | {"networks.slak.backbone": None, "max_box_acc": 0.5}]
    assert list(sweeps.tabulate(rows, SECTIONS, ["max_box_acc"])["network"]) == ["resnet"]
    rows = [row | {"networks.slak.backbone": "slak", "max_box_acc": 0.5}]
    assert list(sweeps.tabulate(rows, SECTIONS, ["max_box_acc"])["network"]) == [""]


def test_metrics_of_several_files_stand_in_one_row():
    row = {f"metrics/{stage}/resnet.json:accuracy": value for stage, value in (("boxes", 0.7), ("classifier", 0.8))}
    row |= {
        "Experiment": "calm-fish",
        "metrics/boxes/resnet.json:max_box_acc": 0.5,
        "metrics/boxes/old.json:pxap": None,
    }
    row |= {"metrics/classifier/resnet.json:mean_ap": 0.9}
    for metrics, expected in (
        (["max_box_acc", "accuracy", "mean_ap"], [0.5, 0.7, 0.9]),
        (["mean_ap", "accuracy"], [0.9, 0.8]),
    ):
        table = sweeps.tabulate([row], SECTIONS, metrics)
        assert list(table["network"]) == ["resnet"] and table[metrics].values.tolist() == [expected]


def test_names_that_would_be_alike_stay_whole():
    rows = [row | {"measure_erf.image_size": number} for number, row in enumerate(EXPERIMENTS[1:3])]
    rows[1]["train_classifier.image_size"] = 128.0
    assert set(sweeps.find_varied(rows, SECTIONS).values()) == {
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
        sweeps.tabulate(EXPERIMENTS[:1], SECTIONS, ["max_box_acc"])
    with pytest.raises(UserError, match="no experiment has the metric 'beauty'"):
        sweeps.tabulate(EXPERIMENTS, SECTIONS, ["max_box_acc", "beauty"])
