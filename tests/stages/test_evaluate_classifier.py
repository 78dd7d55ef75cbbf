"""evaluate_classifier on drawn squares: scores by hand, one or several labels, faithfulness, and bad tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from stages import evaluate_classifier
from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import activations, tables
from weakseg.errors import UserError
from weakseg.evaluation.classifier import predictions
from weakseg.harness import files, params
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.loading import saved_classifier

SECTION = {
    "target": "single",
    "top": 1,
    "pictures": 3,
    "images": 2,
    "batch_size": 2,
    "steps": 4,
    "blur": 2.0,
    "fractions": [0.2, 0.5],
}


def section(**changes: object) -> evaluate_classifier.Params:
    whole = {"seed": 1, "evaluate_classifier": {**SECTION, **changes}}
    return params.check(evaluate_classifier.Params, "evaluate_classifier", whole, Path("params.yaml"))


def color_classifier() -> Classifier:
    """Green and red, told by the mean of the channel."""
    head = PooledHead(3, 2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0]]))
        head.linear.bias.zero_()
    blocks = nn.Sequential(nn.AvgPool2d(4))
    return Classifier(blocks, head, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).eval()


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Predictions that are right but for image `e`, a green one."""
    header = saved_classifier.Header("drawn", "small", drawn_chain.CLASSES, 32)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (color_classifier(), header))
    found = drawn_chain.write(tmp_path)
    rows = []
    for name, split in zip(drawn_chain.IDS, drawn_chain.SPLITS, strict=True):
        red = 0.9 if drawn_chain.class_of(name) or name == "e" else 0.2
        predicted = drawn_chain.CLASSES[int(red > 0.5)]
        row = {"image_id": name, "split": split, "predicted": predicted, "probability": max(red, 1 - red)}
        rows.append(row | {"p_green": 1 - red, "p_red": red})
    files.save_csv(tmp_path / "predictions.csv", rows)
    found |= {"predictions": tmp_path / "predictions.csv", "classifier": tmp_path / "classifier.safetensors"}
    found |= {"confusion": tmp_path / "confusion.csv", "pictures": tmp_path / "pictures.png"}
    kinds = ("labels", "images", "predictions", "classifier", "cams", "confusion", "pictures")
    return {name: found[name] for name in kinds}


def test_scores_by_hand(paths: dict[str, Path]):
    metrics = evaluate_classifier.main(section(), **paths)
    assert [metrics[f"{split}_images"] for split in ("train", "val", "test")] == [3, 1, 2]
    assert (metrics["train_accuracy"], metrics["val_accuracy"], metrics["test_accuracy"]) == (1, 1, 0.5)
    assert metrics["test_balanced_accuracy"] == metrics["test_top1_accuracy"] == 0.5
    assert metrics["train_mean_ap"] == 1
    assert pd.read_csv(paths["confusion"]).to_dict("records") == [
        {"actual": "green", "predicted": "red"},
        {"actual": "red", "predicted": "red"},
    ]
    with Image.open(paths["pictures"]) as picture:
        assert picture.width > 2 * 144


def test_faithfulness_of_right_maps(paths: dict[str, Path]):
    metrics = evaluate_classifier.main(section(), **paths)
    assert metrics["faithfulness_images"] == 2
    assert metrics["faithfulness_deletion"] < metrics["faithfulness_insertion"]
    assert 0 <= metrics["faithfulness_average_drop"] <= 1


def test_the_same_twice(paths: dict[str, Path]):
    first = evaluate_classifier.main(section(), **paths), paths["pictures"].read_bytes()
    assert first == (evaluate_classifier.main(section(), **paths), paths["pictures"].read_bytes())


def test_several_labels(paths: dict[str, Path]):
    table = pd.read_csv(paths["predictions"])
    table.loc[table["image_id"] == "e", "predicted"] = "green|red"
    table.to_csv(paths["predictions"], index=False)
    metrics = evaluate_classifier.main(section(target="multi"), **paths)
    assert metrics["test_exact_match"] == 0.5 and metrics["test_f1"] == pytest.approx(4 / 5)
    assert metrics["test_mean_ap"] == 0.5 and "test_accuracy" not in metrics
    assert metrics["train_accuracy"] == 1


def test_images_without_map_are_shown_but_not_explained(paths: dict[str, Path]):
    empty = activations.CamEntry(np.zeros((0, 8, 10)), np.zeros(0, int), np.zeros((8, 10)), np.zeros((1, 8, 10)))
    with activations.cams_writer(paths["cams"]) as writer:
        for name in drawn_chain.IDS:
            writer.add(name, empty)
    metrics = evaluate_classifier.main(section(), **paths)
    assert metrics["faithfulness_images"] == 0 and "faithfulness_deletion" not in metrics


def test_unlabeled_images_do_not_count(paths: dict[str, Path]):
    frame = tables.load_labels(paths["labels"])
    frame.at["e", "labels"] = ()
    tables.save_labels(paths["labels"], frame)
    metrics = evaluate_classifier.main(section(), **paths)
    assert (metrics["test_images"], metrics["test_accuracy"]) == (1, 1)


@pytest.mark.parametrize("missing", ["f", "p_red"])
def test_a_table_that_lacks_something_is_refused(paths: dict[str, Path], missing: str):
    table = pd.read_csv(paths["predictions"]).set_index("image_id")
    table = table.drop(index=missing) if missing in table.index else table.drop(columns=missing)
    table.reset_index().to_csv(paths["predictions"], index=False)
    with pytest.raises(UserError, match=f"no prediction for '{missing.removeprefix('p_')}'"):
        evaluate_classifier.main(section(), **paths)


def test_no_label_at_all_is_refused(paths: dict[str, Path]):
    frame = tables.load_labels(paths["labels"])
    frame["labels"] = [()] * len(frame)
    with pytest.raises(UserError, match="no image has a label"):
        predictions.load_predictions(paths["predictions"], frame, drawn_chain.CLASSES)


def test_the_top_map_is_that_of_the_most_probable_class():
    entry = activations.CamEntry(
        np.stack([np.zeros((2, 2)), np.ones((2, 2))]), np.array([0, 1]), np.zeros((2, 2)), np.zeros(1)
    )
    row = pd.Series({"p_green": 0.3, "p_red": 0.6})
    values, found = predictions.top_map(entry, row, drawn_chain.CLASSES)
    assert found == 1 and values.min() == 1
