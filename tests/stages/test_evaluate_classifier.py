"""evaluate_classifier on drawn squares: scores by hand, one or several labels, faithfulness, and bad tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages import evaluate_classifier
from tests.world import CLASSES, World, save_cams
from tests.world_networks import SEES_COLOR, color_classifier
from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels
from weakseg.errors import UserError
from weakseg.evaluation.classifier import predictions, top_maps
from weakseg.harness.stage import Outcome
from weakseg.networks.loading import saved_classifier

WORLD = World(mistaken=("e",))  # a green one
SMALL = {"top": 1, "pictures": 3, "faithfulness_images": 2, "batch_size": 2, "steps": 4, "blur": 2.0}


@pytest.fixture
def paths(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Predictions that are right but for one, maps of the true classes, and a classifier that sees color."""
    monkeypatch.setattr(saved_classifier, "load", lambda path: (color_classifier(), SEES_COLOR))
    paths = WORLD.write(workplace, "labels", "images", "predictions") | World().write(workplace, "cams")
    outputs = {"confusion": Path("confusion.csv"), "pictures": Path("pictures.png")}
    return paths | outputs | {"classifier": Path("classifier.safetensors")}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[[], Outcome]:
    """The stage."""
    return lambda: evaluate_classifier.main(stage_params(evaluate_classifier, **SMALL), **paths)


def test_scores_by_hand(run: Callable, paths: dict[str, Path]):
    outcome = run()
    scores = outcome.scores
    assert [scores[f"{split}_images"] for split in ("train", "val", "test")] == [3, 1, 2]
    assert (scores["train_accuracy"], scores["val_accuracy"], scores["test_accuracy"]) == (1, 1, 0.5)
    assert scores["test_balanced_accuracy"] == scores["test_top1_accuracy"] == 0.5
    assert scores["train_mean_ap"] == 1
    assert outcome.metrics == {"accuracy": 0.5}
    assert pd.read_csv(paths["confusion"]).to_dict("records") == [
        {"actual": "green", "predicted": "red"},
        {"actual": "red", "predicted": "red"},
    ]
    with Image.open(paths["pictures"]) as picture:
        assert picture.width > 2 * 144


def test_faithfulness_of_right_maps(run: Callable):
    scores = run().scores
    assert scores["faithfulness_images"] == 2
    assert scores["faithfulness_deletion"] < scores["faithfulness_insertion"]
    assert 0 <= scores["faithfulness_average_drop"] <= 1


def test_the_same_twice(run: Callable, paths: dict[str, Path]):
    first = run(), paths["pictures"].read_bytes()
    assert first == (run(), paths["pictures"].read_bytes())


def test_several_labels(run: Callable, paths: dict[str, Path]):
    table = pd.read_csv(paths["predictions"])
    table.loc[table["image_id"] == "e", "predicted"] = "green|red"
    table.to_csv(paths["predictions"], index=False)
    outcome = run()
    scores = outcome.scores
    assert scores["test_exact_match"] == 0.5 and scores["test_f1"] == pytest.approx(4 / 5)
    assert scores["test_mean_ap"] == 0.5 and "test_accuracy" not in scores
    assert scores["train_accuracy"] == 1
    assert outcome.metrics == {"map": 0.5}


def test_headline_is_of_the_first_split_that_has_images():
    scores = {"train_images": 5, "val_images": 2, "test_images": 0, "train_accuracy": 1.0, "val_accuracy": 0.75}
    assert predictions.headline(scores) == {"accuracy": 0.75}
    assert predictions.headline({"train_images": 0}) == {}


def test_images_without_map_are_shown_but_not_explained(run: Callable, paths: dict[str, Path]):
    empty = activations.CamEntry(np.zeros((0, 8, 10)), np.zeros(0, int), np.zeros((8, 10)), np.zeros((1, 8, 10)))
    save_cams(paths["cams"], dict.fromkeys(WORLD.names, empty))
    scores = run().scores
    assert scores["faithfulness_images"] == 0 and "faithfulness_deletion" not in scores


def test_unlabeled_images_do_not_count(run: Callable, paths: dict[str, Path]):
    frame = labels.load_labels(paths["labels"])
    frame.at["e", "labels"] = ()
    labels.save_labels(paths["labels"], frame)
    scores = run().scores
    assert (scores["test_images"], scores["test_accuracy"]) == (1, 1)


@pytest.mark.parametrize("missing", ["f", "p_red"])
def test_a_table_that_lacks_something_is_refused(run: Callable, paths: dict[str, Path], missing: str):
    table = pd.read_csv(paths["predictions"]).set_index("image_id")
    table = table.drop(index=missing) if missing in table.index else table.drop(columns=missing)
    table.reset_index().to_csv(paths["predictions"], index=False)
    with pytest.raises(UserError, match=f"no prediction for '{missing.removeprefix('p_')}'"):
        run()


def test_no_label_at_all_is_refused(paths: dict[str, Path]):
    frame = labels.load_labels(paths["labels"])
    frame["labels"] = [()] * len(frame)
    with pytest.raises(UserError, match="no image has a label"):
        predictions.load_predictions(paths["predictions"], frame, CLASSES)


def test_the_top_map_is_that_of_the_most_probable_class():
    entry = activations.CamEntry(
        np.stack([np.zeros((2, 2)), np.ones((2, 2))]), np.array([0, 1]), np.zeros((2, 2)), np.zeros(1)
    )
    row = pd.Series({"p_green": 0.3, "p_red": 0.6})
    top = top_maps.pick_top(entry, row, CLASSES)
    assert top is not None and top.class_ == 1 and top.scores.min() == 1
