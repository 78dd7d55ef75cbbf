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
from weakseg.artifacts.formats.labels import load_labels, save_labels
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
    names = {"overlaps": "csv", "accuracy": "csv", "pictures": "png", "thresholds": "png"}
    rest = {"classifier": classifier} | {name: Path(f"{name}.{suffix}") for name, suffix in names.items()}

    def call(**changes: Any) -> dict[str, Path]:
        world = replace(WORLD, **changes)
        return world.write(workplace, *KINDS) | rest | {"known": save_known(Path("known"), world)}

    return call


def save_known(path: Path, world: World) -> Path:
    """What generate_cams writes for the test images whose class was mistaken: the right class, and a good map."""
    right = replace(world, mistaken=())
    return save_cams(
        path, {name: right.entry(name, 1.0, 3.0) for name in world.split("test") if name in world.mistaken}
    )


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
    assert scores["max_box_acc"] == scores["top1_loc"] == scores["carried_box_acc"] == 1
    assert scores["top5_loc"] == scores["predicted_max_box_acc"] == 1
    assert scores["accuracy"] == scores["label_map_share"] == 1 and scores["max_box_acc_error"] == 0
    assert scores["pxap"] > 0.9 > scores["full_pxap"]
    assert {"center_max_box_acc", "full_max_box_acc", "random_max_box_acc", "center_pxap", "random_pxap"} <= set(scores)
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "images")
    assert [row["threshold"] for row in rows] == pytest.approx(np.arange(0, 1, 0.05))
    assert {"box_acc", "top1_loc", "any_30", "any_70", "center_box_acc", "precision", "recall"} <= set(rows[0])
    table = pd.read_csv(paths["overlaps"])
    assert list(table["image_id"]) == WORLD.split("test") and (table["iou_carried"] > 0.5).all()
    assert paths["pictures"].stat().st_size > 1000 and paths["thresholds"].stat().st_size > 1000
    assert set(outcome.metrics) == {"max_box_acc", "top1_loc", "auto_box"}
    assert outcome.metrics["max_box_acc"] == outcome.scores["carried_box_acc"] == 1


def test_bad_maps_and_wrong_classes_count(write: Callable, run: Callable):
    paths = write(missed=("i",), mistaken=("j",))
    scores = run(paths).scores
    assert scores["max_box_acc"] == 0.75 and scores["top1_loc"] == 0.5
    assert scores["top5_loc"] == 0.75, "of two classes, the right one is among the five first"
    assert scores["accuracy"] == 0.75 and scores["label_map_share"] == 1
    assert scores["max_box_acc_error"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_gt_known_is_of_the_label_and_predicted_of_what_was_predicted(write: Callable, run: Callable):
    """The map of the wrong class misses the object, that of the right class finds it."""
    paths = write(missed=("j",), mistaken=("j",))
    save_known(paths["known"], replace(WORLD, mistaken=("j",)))
    scores = run(paths).scores
    assert scores["max_box_acc"] == scores["label_map_share"] == 1
    assert scores["predicted_max_box_acc"] == scores["top1_loc"] == 0.75
    save_cams(paths["known"], {})
    bare = run(paths).scores
    assert bare["max_box_acc"] == bare["label_map_share"] == 0.75, "without its map, an image is scored by the other"


def test_an_image_without_a_label_is_scored_by_its_predicted_class(write: Callable, run: Callable):
    paths = write()
    frame = load_labels(paths["labels"])
    frame.at["i", "labels"] = ()
    save_labels(paths["labels"], frame)
    scores = run(paths).scores
    assert scores["label_map_share"] == 0.75 and scores["max_box_acc"] == 1


def test_accuracy_at_every_overlap_with_thresholds_of_its_own(write: Callable, run: Callable):
    paths = write(mistaken=("j",))
    scores, table = run(paths).scores, pd.read_csv(paths["accuracy"])
    assert list(table["map"]) == [name for name in ("label", "predicted", "center", "full", "random") for _ in range(3)]
    assert list(table["iou"]) == [0.3, 0.5, 0.7] * 5
    own, rest = table[table["map"] == "label"].set_index("iou"), table[table["map"] != "label"]
    assert own.loc[0.5, "largest"] == scores["max_box_acc"] and own.loc[0.5, "threshold"] == scores["optimal_threshold"]
    assert own.loc[0.5, ["top1", "top5", "carried"]].tolist() == [
        scores[name] for name in ("top1_loc", "top5_loc", "carried_box_acc")
    ]
    assert own["any"].mean() == pytest.approx(scores["max_box_acc_v2"]) and rest["top1"].isna().all()
    for name in ("predicted", "center", "full", "random"):
        part = rest[rest["map"] == name].set_index("iou")
        assert part.loc[0.5, "largest"] == scores[f"{name}_max_box_acc"]
        assert part["any"].mean() == pytest.approx(scores[f"{name}_max_box_acc_v2"])


def test_threshold_is_carried_from_the_validation_images(write: Callable, run: Callable):
    paths = write(missed=("g", "h"))
    scores = run(paths).scores
    assert scores["max_box_acc"] == 1 and scores["carried_threshold"] == 0


def test_same_input_same_output(write: Callable, run: Callable):
    paths = write()
    first = run(paths)
    names = ("overlaps", "accuracy", "pictures", "thresholds")
    written = [paths[name].read_bytes() for name in names]
    assert run(paths) == first
    assert [paths[name].read_bytes() for name in names] == written


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
    cams = activations.Cams(save_cams(tmp_path / "cams", {"a": entry}))
    frame = pd.DataFrame({"labels": [("green", "red")]}, index=["a"])
    one = ObjectMaps(cams, cams, frame, chosen(source="distilled")).read("a")
    both = np.kron(np.maximum(near, far) > 0, np.ones((8, 8), bool))
    assert one.of_label and ((one.scores > one.threshold) == both).mean() > 0.95
