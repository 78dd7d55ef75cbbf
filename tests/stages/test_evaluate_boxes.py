"""evaluate_boxes on drawn squares: scores by hand, baselines, carried threshold, missing truth and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import evaluate_boxes
from tests.stages import drawn_maps
from weakseg.artifacts import activations, truth, zips
from weakseg.errors import UserError
from weakseg.evaluation.boxes import localization
from weakseg.harness import files, params

SECTION = {
    "convention": "exact",
    "size": 64,
    "step": 0.05,
    "ious": [0.3, 0.5, 0.7],
    "tails": 0.0,
    "source": "cams",
    "batch_size": 2,
    "pictures": 3,
}


def section(**changes: object) -> evaluate_boxes.Params:
    whole = {"seed": 1, "evaluate_boxes": {**SECTION, **changes}}
    return params.check(evaluate_boxes.Params, "evaluate_boxes", whole, Path("params.yaml"))


def arguments(folder: Path, **drawn: tuple[str, ...]) -> dict[str, Path]:
    paths = drawn_maps.write(folder, **drawn)
    paths["classifier"] = folder / "classifier.safetensors"
    drawn_maps.write_classifier(paths["classifier"])
    return paths | {"overlaps": folder / "overlaps.csv", "pictures": folder / "pictures.png"}


@pytest.mark.parametrize("convention", ["exact", "reference"])
def test_good_maps_are_all_found(tmp_path: Path, convention: str):
    paths = arguments(tmp_path)
    metrics, rows = evaluate_boxes.main(section(convention=convention), **paths)
    assert metrics["images"] == 4
    assert metrics["max_box_acc"] == metrics["top1_loc"] == metrics["gt_known_loc"] == metrics["carried_box_acc"] == 1
    assert metrics["accuracy"] == metrics["label_map_share"] == 1 and metrics["max_box_acc_error"] == 0
    assert metrics["pxap"] > 0.9 > metrics["full_pxap"]
    assert {"center_max_box_acc", "full_max_box_acc", "random_max_box_acc", "center_pxap", "random_pxap"} <= set(
        metrics
    )
    assert all(0 <= value <= 1 for name, value in metrics.items() if name != "images")
    assert [row["threshold"] for row in rows] == pytest.approx(np.arange(0, 1, 0.05))
    assert {"box_acc", "top1_loc", "any_30", "any_70", "center_box_acc", "precision", "recall"} <= set(rows[0])
    table = pd.read_csv(paths["overlaps"])
    assert list(table["image_id"]) == drawn_maps.IDS[8:] and (table["iou_carried"] > 0.5).all()
    assert paths["pictures"].stat().st_size > 1000


def test_bad_maps_and_wrong_classes_count(tmp_path: Path):
    paths = arguments(tmp_path, bad=("image08",), wrong=("image09",))
    metrics, _ = evaluate_boxes.main(section(), **paths)
    assert metrics["max_box_acc"] == 0.75 and metrics["top1_loc"] == 0.5
    assert metrics["accuracy"] == metrics["label_map_share"] == 0.75
    assert "gt_known_loc" not in metrics
    assert metrics["max_box_acc_error"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_threshold_is_carried_from_the_validation_images(tmp_path: Path):
    paths = arguments(tmp_path, bad=("image06", "image07"))
    metrics, _ = evaluate_boxes.main(section(), **paths)
    assert metrics["max_box_acc"] == 1 and metrics["carried_threshold"] == 0


def test_same_input_same_output(tmp_path: Path):
    paths = arguments(tmp_path)
    first = evaluate_boxes.main(section(), **paths)
    written = [paths[name].read_bytes() for name in ("overlaps", "pictures")]
    assert evaluate_boxes.main(section(), **paths) == first
    assert [paths[name].read_bytes() for name in ("overlaps", "pictures")] == written


def test_images_without_truth_are_left_out(tmp_path: Path):
    paths = arguments(tmp_path)
    boxes = truth.load_boxes(paths["boxes"])
    truth.save_boxes(paths["boxes"], boxes[~boxes["image_id"].isin(["image06", "image07", "image08"])])
    with zips.mask_writer(paths["masks"]):
        pass
    metrics, rows = evaluate_boxes.main(section(), **paths)
    assert metrics["images"] == 3
    assert "pxap" not in metrics and "carried_threshold" not in metrics and "precision" not in rows[0]


def test_no_box_at_all_is_refused(tmp_path: Path):
    paths = arguments(tmp_path)
    truth.save_boxes(paths["boxes"], truth.load_boxes(paths["boxes"]).iloc[:0])
    with pytest.raises(UserError, match="no test image has a true box"):
        evaluate_boxes.main(section(), **paths)
    assert not paths["overlaps"].exists()


def test_box_outside_its_image_is_refused(tmp_path: Path):
    paths = arguments(tmp_path)
    boxes = truth.load_boxes(paths["boxes"])
    boxes.loc[9, "x1"] = 65
    truth.save_boxes(paths["boxes"], boxes)
    with pytest.raises(UserError, match=r"image 'image09': box .* outside the 64x64 image"):
        evaluate_boxes.main(section(), **paths)


def test_box_of_an_unknown_image_is_refused(tmp_path: Path):
    paths = arguments(tmp_path)
    boxes = truth.load_boxes(paths["boxes"])
    boxes.loc[0, "image_id"] = "stranger"
    truth.save_boxes(paths["boxes"], boxes)
    with pytest.raises(UserError, match=r"box of 'stranger', which labels.csv lacks"):
        evaluate_boxes.main(section(), **paths)


def test_missing_prediction_is_refused(tmp_path: Path):
    paths = arguments(tmp_path)
    files.save_csv(paths["predictions"], pd.read_csv(paths["predictions"]).iloc[1:])
    with pytest.raises(UserError, match="no prediction for 'image00'"):
        evaluate_boxes.main(section(), **paths)


def test_numbers_out_of_range_are_refused(tmp_path: Path):
    for changes in ({"step": 0.0}, {"ious": [0.3]}, {"size": 0}):
        with pytest.raises(UserError, match=r"mend params.yaml"):
            evaluate_boxes.main(section(**changes), **arguments(tmp_path))


def test_a_maps_own_threshold_is_not_rounded_to_the_grid_of_thresholds() -> None:
    protocol = localization.Protocol.build(8, 0.5, [0.5], "exact")
    scores = np.zeros((8, 8))
    scores[2:6, 2:6], scores[3:5, 3:5] = 0.6, 1.0  # at .5 the box is 4 wide, at .7 it is 2
    assert protocol.overlap(scores, 0.5, np.array([[2.0, 2, 6, 6]])) == 1
    assert protocol.overlap(scores, 0.7, np.array([[3.0, 3, 5, 5]])) == 1
    assert protocol.overlap(scores, 0.7, np.array([[2.0, 2, 6, 6]])) == pytest.approx(4 / 16)


def test_logits_of_several_labels_share_one_scale(tmp_path: Path):
    """Two objects; on a scale of its own, the second rule's background would pass the first one's zero."""
    near, far = np.full((8, 8), -1.0, np.float32), np.full((8, 8), -4.0, np.float32)
    far[0] = -40.0
    near[1:4, 1:4], far[5:7, 5:7] = 1.0, 4.0
    with activations.cams_writer(tmp_path / "cams.zip") as writer:
        writer.add("a", activations.CamEntry(np.stack([near, far]), np.array([0, 1]), near, near[None]))
    frame = pd.DataFrame({"labels": [("green", "red")]}, index=["a"])
    protocol = localization.Protocol.build(64, 0.05, [0.5], "exact")
    maps = localization.Maps(
        activations.Cams(tmp_path / "cams.zip"), frame, ["green", "red"], protocol, "distilled", 0.0
    )
    ready, whole_label, zero = maps.map("a")
    both = np.kron(np.maximum(near, far) > 0, np.ones((8, 8), bool))
    assert whole_label and ((ready > zero) == both).mean() > 0.95
