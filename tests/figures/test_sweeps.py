"""Experiments as a table: one row a network, what was varied, and nothing of an earlier run."""

from __future__ import annotations

from typing import Any

import pytest

from weakseg.errors import UserError
from weakseg.figures import sweeps
from weakseg.figures.sweeps import Experiment

ENTRY: dict[str, Any] = {"backbone": "resnet", "variant": "small", "train": {}}


def experiment(name: str, rate: float, score: float, **changes: Any) -> Experiment:
    """Two networks, their boxes and fields measured; a figure of the whole run."""
    parameters = {"seed": 0, "train_classifier": {"learning_rate": rate, "image_size": 96}}
    parameters |= {"networks": {"resnet": ENTRY, "slak": ENTRY | {"backbone": "slak"}}}
    metrics = {
        "metrics/boxes/resnet.json": {"max_box_acc": score, "v2": 0.1},
        "metrics/boxes/slak.json": {"max_box_acc": score + 0.125},
        "metrics/erf/resnet.json": {"erf": 0.02},
        "metrics/erf/slak.json": {"erf": 0.03},
        "metrics/masks.json": {"segmenter": 0.7},
    }
    return Experiment(name, parameters, metrics, **changes)


TWO = [experiment("bold-cat", 0.2, 0.5), experiment("calm-fish", 0.1, 0.25)]


def test_boxes_and_field_of_a_network_stand_in_one_row():
    found = sweeps.tabulate(TWO, ["max_box_acc", "erf"])
    assert found.to_dict("list") == {
        "experiment": ["calm-fish", "bold-cat", "calm-fish", "bold-cat"],
        "network": ["resnet", "resnet", "slak", "slak"],
        "learning_rate": [0.1, 0.2, 0.1, 0.2],
        "network.backbone": ["resnet", "resnet", "slak", "slak"],
        "max_box_acc": [0.25, 0.5, 0.375, 0.625],
        "erf": [0.02, 0.02, 0.03, 0.03],
    }


def test_figures_of_the_whole_run_stand_in_every_row_or_alone():
    found = sweeps.tabulate(TWO, ["max_box_acc", "segmenter"])
    assert len(found) == 4 and (found["segmenter"] == 0.7).all()
    alone = sweeps.tabulate(TWO, ["segmenter"])
    assert list(alone["network"]) == ["", ""] and list(alone["experiment"]) == ["calm-fish", "bold-cat"]


def test_a_network_that_only_some_experiments_have():
    parameters = {"networks": {"slak": ENTRY | {"train": {"epochs": 3}}}, "seed": 0}
    other = Experiment("odd-fox", parameters, {"metrics/boxes/slak.json": {"max_box_acc": 0.9}})
    found = sweeps.tabulate([TWO[0], other], ["max_box_acc", "erf"])
    assert found[found["experiment"] == "odd-fox"][["network", "network.train.epochs"]].values.tolist() == [["slak", 3]]
    assert found["erf"].isna().sum() == 1


def test_what_an_earlier_run_left_does_not_count():
    left = frozenset({"metrics/erf/resnet.json", "metrics/erf/slak.json"})
    found = sweeps.tabulate([TWO[0], experiment("old-owl", 0.3, 0.5, former=left)], ["max_box_acc", "erf"])
    assert found.groupby("experiment")["erf"].count().to_dict() == {"bold-cat": 2, "old-owl": 0}
    with pytest.raises(UserError, match="no experiment has measured the metric 'erf'"):
        sweeps.tabulate([experiment("old-owl", 0.3, 0.5, former=left)], ["max_box_acc", "erf"])


def test_former_outputs_are_those_whose_stage_read_something_else():
    """train wrote anew; boxes saw it, labels did not, and the report of labels has its old text."""
    stages = {
        "train": {"deps": [{"path": "weakseg/loop.py", "md5": "c"}], "outs": [{"path": "model", "md5": "new"}]},
        "boxes": {"deps": [{"path": "model", "md5": "new"}], "outs": [{"path": "boxes.json", "md5": "b"}]},
        "labels": {"deps": [{"path": "model", "md5": "old"}], "outs": [{"path": "labels.json", "md5": "l"}]},
        "report": {"deps": [{"path": "labels.json", "md5": "l"}], "outs": [{"path": "report.html", "md5": "r"}]},
    }
    assert sweeps.find_former({"stages": stages}) == {"labels.json", "report.html"}


def test_names_that_would_be_alike_stay_whole():
    rows = [Experiment(str(k), {"a": {"image_size": k}, "b": {"image_size": k, "rate": 1}}, {}) for k in (1, 2)]
    assert sweeps.find_varied(rows) == {"a.image_size": "a.image_size", "b.image_size": "b.image_size"}


def test_the_plot_has_a_panel_for_what_varies_for_a_network():
    rows = sweeps.tabulate(TWO, ["max_box_acc", "erf"])
    assert sweeps.list_varied(rows, ["max_box_acc", "erf"]) == ["learning_rate"]
    assert sweeps.draw(rows, ["max_box_acc", "erf"]).startswith(b"\x89PNG")


def test_refusals():
    with pytest.raises(UserError, match="there is no finished experiment"):
        sweeps.tabulate([], ["max_box_acc"])
    with pytest.raises(UserError, match="no experiment has measured the metric 'beauty'"):
        sweeps.tabulate(TWO, ["max_box_acc", "beauty"])
