"""evaluate_boxes on drawn squares: scores by hand, baselines, carried threshold, missing truth and bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages import evaluate_boxes
from tests.world import World, save_cams, save_masks
from tests.world_networks import save_classifier
from weakseg.artifacts import activations, truth
from weakseg.errors import UserError
from weakseg.evaluation.boxes.object_maps import ObjectMaps
from weakseg.evaluation.boxes.protocol import BoxProtocol
from weakseg.harness import files
from weakseg.harness.stage import Outcome

KINDS = ("images", "labels", "boxes", "masks", "cams", "predictions")
WORLD = World(train=6, val=2, test=4, whole=True)
SMALL = {"grid_size": 64, "step": 0.05, "batch_size": 2, "pictures": 3}


@pytest.fixture
def chosen(stage_params: Callable) -> Callable[..., evaluate_boxes.Params]:
    """Parameters with changed fields."""

    def build(**changes: Any) -> evaluate_boxes.Params:
        return stage_params(evaluate_boxes, **SMALL | changes)

    return build


@pytest.fixture
def write(workplace: Path) -> Callable[..., dict[str, Path]]:
    """Write what the stage reads of a changed world; all paths by flag."""
    classifier = save_classifier(Path("classifier.safetensors"))
    rest = {"classifier": classifier, "overlaps": Path("overlaps.csv"), "pictures": Path("pictures.png")}
    return lambda **changes: replace(WORLD, **changes).write(workplace, *KINDS) | rest


@pytest.fixture
def run(chosen: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields."""
    return lambda paths, **changes: evaluate_boxes.main(chosen(**changes), **paths)


@pytest.mark.parametrize("convention", ["exact", "reference"])
def test_good_maps_are_all_found(write: Callable, run: Callable, convention: str):
    paths = write()
    outcome = run(paths, convention=convention)
    scores, rows = outcome.scores, outcome.curves
    assert scores["images"] == 4
    assert scores["max_box_acc"] == scores["top1_loc"] == scores["gt_known_loc"] == scores["carried_box_acc"] == 1
    assert scores["accuracy"] == scores["label_map_share"] == 1 and scores["max_box_acc_error"] == 0
    assert scores["pxap"] > 0.9 > scores["full_pxap"]
    assert {"center_max_box_acc", "full_max_box_acc", "random_max_box_acc", "center_pxap", "random_pxap"} <= set(scores)
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "images")
    assert [row["threshold"] for row in rows] == pytest.approx(np.arange(0, 1, 0.05))
    assert {"box_acc", "top1_loc", "any_30", "any_70", "center_box_acc", "precision", "recall"} <= set(rows[0])
    table = pd.read_csv(paths["overlaps"])
    assert list(table["image_id"]) == WORLD.split("test") and (table["iou_carried"] > 0.5).all()
    assert paths["pictures"].stat().st_size > 1000
    assert outcome.metrics == {"box_acc": 1, "top1_loc": 1, "auto_box": 1}


def test_bad_maps_and_wrong_classes_count(write: Callable, run: Callable):
    paths = write(missed=("i",), mistaken=("j",))
    scores = run(paths).scores
    assert scores["max_box_acc"] == 0.75 and scores["top1_loc"] == 0.5
    assert scores["accuracy"] == scores["label_map_share"] == 0.75
    assert "gt_known_loc" not in scores
    assert scores["max_box_acc_error"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_threshold_is_carried_from_the_validation_images(write: Callable, run: Callable):
    paths = write(missed=("g", "h"))
    scores = run(paths).scores
    assert scores["max_box_acc"] == 1 and scores["carried_threshold"] == 0


def test_same_input_same_output(write: Callable, run: Callable):
    paths = write()
    first = run(paths)
    written = [paths[name].read_bytes() for name in ("overlaps", "pictures")]
    assert run(paths) == first
    assert [paths[name].read_bytes() for name in ("overlaps", "pictures")] == written


def test_images_without_truth_are_left_out(write: Callable, run: Callable):
    paths = write()
    boxes = truth.load_boxes(paths["boxes"])
    truth.save_boxes(paths["boxes"], boxes[~boxes["image_id"].isin(["g", "h", "i"])])
    save_masks(paths["masks"], {})
    outcome = run(paths)
    scores, rows = outcome.scores, outcome.curves
    assert scores["images"] == 3
    assert "pxap" not in scores and "carried_threshold" not in scores and "precision" not in rows[0]


def test_no_box_at_all_is_refused(write: Callable, run: Callable):
    paths = write()
    truth.save_boxes(paths["boxes"], truth.load_boxes(paths["boxes"]).iloc[:0])
    with pytest.raises(UserError, match="no test image has a true box"):
        run(paths)
    assert not paths["overlaps"].exists()


def test_box_outside_its_image_is_refused(write: Callable, run: Callable):
    paths = write()
    boxes = truth.load_boxes(paths["boxes"])
    boxes.loc[9, "x1"] = 41
    truth.save_boxes(paths["boxes"], boxes)
    with pytest.raises(UserError, match=r"image 'j': box .* outside the 40x32 image"):
        run(paths)


def test_box_of_an_unknown_image_is_refused(write: Callable, run: Callable):
    paths = write()
    boxes = truth.load_boxes(paths["boxes"])
    boxes.loc[0, "image_id"] = "stranger"
    truth.save_boxes(paths["boxes"], boxes)
    with pytest.raises(UserError, match=r"box of 'stranger', which labels.csv lacks"):
        run(paths)


def test_missing_prediction_is_refused(write: Callable, run: Callable):
    paths = write()
    files.save_csv(paths["predictions"], pd.read_csv(paths["predictions"]).iloc[1:])
    with pytest.raises(UserError, match="no prediction for 'a'"):
        run(paths)


def test_numbers_out_of_range_are_refused_before_anything_runs(chosen: Callable):
    for changes in ({"step": 0.0}, {"step": 1.0}, {"ious": [0.5, 1.1]}, {"grid_size": 0}):
        with pytest.raises(UserError, match=f"evaluate_boxes.{next(iter(changes))}.*should be (greater|less) than"):
            chosen(**changes)
    with pytest.raises(UserError, match=r"evaluate_boxes\.ious.*0\.5 must be among the overlaps"):
        chosen(ious=[0.3])


def test_a_maps_own_threshold_is_not_rounded_to_the_grid_of_thresholds(chosen: Callable) -> None:
    protocol = BoxProtocol.build(chosen(grid_size=8, step=0.5, ious=[0.5]))
    scores = np.zeros((8, 8))
    scores[2:6, 2:6], scores[3:5, 3:5] = 0.6, 1.0  # at .5 the box is 4 wide, at .7 it is 2
    assert protocol.overlap(scores, 0.5, np.array([[2.0, 2, 6, 6]])) == 1
    assert protocol.overlap(scores, 0.7, np.array([[3.0, 3, 5, 5]])) == 1
    assert protocol.overlap(scores, 0.7, np.array([[2.0, 2, 6, 6]])) == pytest.approx(4 / 16)


def test_logits_of_several_labels_share_one_scale(tmp_path: Path, chosen: Callable):
    """Two objects; on a scale of its own, the second rule's background would pass the first one's zero."""
    near, far = np.full((8, 8), -1.0, np.float32), np.full((8, 8), -4.0, np.float32)
    far[0] = -40.0
    near[1:4, 1:4], far[5:7, 5:7] = 1.0, 4.0
    entry = activations.CamEntry(np.stack([near, far]), np.array([0, 1]), near, near[None])
    cams = activations.Cams(save_cams(tmp_path / "cams.zip", {"a": entry}))
    frame = pd.DataFrame({"labels": [("green", "red")]}, index=["a"])
    one = ObjectMaps(cams, frame, chosen(source="distilled")).read("a")
    both = np.kron(np.maximum(near, far) > 0, np.ones((8, 8), bool))
    assert one.of_label and ((one.scores > one.threshold) == both).mean() > 0.95
