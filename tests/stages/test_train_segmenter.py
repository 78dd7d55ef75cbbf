"""train_segmenter on drawn squares: it fits them, drops useless masks, resumes, self-trains and knows when to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import train_segmenter
from tests.world import CLASSES, World, save_masks
from tests.world_networks import save_classifier
from weakseg.artifacts.formats import zips
from weakseg.data.samples import Reader
from weakseg.errors import UserError
from weakseg.harness import files
from weakseg.harness.stage import Outcome
from weakseg.networks.loading import saved_classifier
from weakseg.networks.segmentation import predict, saved_segmenter
from weakseg.training.self_training import segmenter as training_segmenter

WORLD = World(train=6, val=0, test=2)
SMALL = {
    "variant": "fine",
    "image_size": 32,
    "steps": 4,
    "batch_size": 2,
    "zoom_from": 0.9,
    "gain": 0.05,
    "brightness": 0.02,
    "warmup": 0.4,
    "encoder_rate": 3e-3,
    "decoder_rate": 1e-2,
    "balance": 0.5,
    "test_size": 32,
    "refiner": "superpixel_vote",
    "options": {"superpixel_vote": {"radius": 0}},
    "converged": 0.99,
    "departed": 0.2,
}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs by flag; the masks are true ones."""
    paths = WORLD.write(workplace, "images", "labels", "masks", "superpixels")
    return paths | {"classifier": save_classifier(Path("classifier.safetensors"))}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields, other masks where there are any."""

    def call(out: str = "out", supervision: str = "weak", masks: Path | None = None, **changes: Any) -> Outcome:
        given = paths | ({"masks": masks} if masks else {})
        params = stage_params(train_segmenter, **SMALL | changes)
        return train_segmenter.main(params, supervision=supervision, out=Path(out), **given)

    return call


def iou(path: Path, images: Path, ids: list[str], classes: bool) -> float:
    """Share of agreement with the drawn masks: intersection over union of the (classes') foreground."""
    segmenter, header = saved_segmenter.load(path)
    both = either = 0
    reader = Reader(zips.Images(images), ids, header.test_size, 4, "fp32")
    for name, found in predict.stream(segmenter, reader, header.copies):
        truth = WORLD.mask(name, ring=0)
        mask = predict.to_mask(found, truth.shape)
        truth, mask = (truth, mask) if classes else (truth > 0, mask > 0)
        both += ((mask == truth) & (truth > 0)).sum()
        either += ((mask > 0) | (truth > 0)).sum()
    return both / either


@pytest.mark.parametrize("mask_ids", ["binary", "classes"])
def test_it_fits_four_images(run: Callable, paths: dict[str, Path], mask_ids: str) -> None:
    four = WORLD.names[:4]
    masks = save_masks(Path("four"), {name: WORLD.mask(name) for name in four})
    still = {"zoom_from": 1.0, "zoom_to": 1.0, "flip": False}
    outcome = run(masks=masks, steps=60, batch_size=4, mask_ids=mask_ids, **still)
    assert outcome.scores["images"] == 4 and len(outcome.curves) == 60
    assert outcome.curves[-1]["loss"] < 0.5 * outcome.curves[0]["loss"]
    assert iou(Path("out/round0.safetensors"), paths["images"], four, mask_ids == "classes") > 0.8
    _, header = saved_segmenter.load(Path("out/round0.safetensors"))
    assert header.classes == (["object"] if mask_ids == "binary" else CLASSES)


def test_the_networks_own_layers_learn_true_masks(run: Callable, paths: dict[str, Path]) -> None:
    """The control of the weak U-Net: the same network, on masks."""
    four = WORLD.names[:4]
    header = saved_classifier.Header("unet", "small", CLASSES, 32)
    saved_classifier.save(paths["classifier"], saved_classifier.build(header), header)
    masks = save_masks(Path("four"), {name: WORLD.mask(name) for name in four})
    own = {"segmenter": "activation", "variant": "linear", "weights": "random", "encoder_rate": 1e-2}
    still = {"zoom_from": 1.0, "zoom_to": 1.0, "flip": False}
    run(supervision="full", masks=masks, steps=60, batch_size=4, **own, **still)
    assert iou(Path("out/round0.safetensors"), paths["images"], four, False) > 0.7


def test_steps_are_counted_over_passes(run: Callable) -> None:
    curves = run(steps=7).curves
    assert [row["epoch"] for row in curves] == [1, 2, 3], "six images in batches of two are three steps a pass"


def test_epochs_are_passes_and_what_steps_would_give(run: Callable) -> None:
    """Two passes over six images in batches of two are six steps: the same bytes."""
    assert [row["epoch"] for row in run(epochs=2, steps=99).curves] == [1, 2]
    run("other", epochs=0, steps=6)  # another key: nothing is taken from the run before
    assert Path("out/round0.safetensors").read_bytes() == Path("other/round0.safetensors").read_bytes()


def test_probabilities_need_a_refiner_without_hard_seeds(run: Callable) -> None:
    outcome = run(rounds=1, soft_outputs="probabilities", converged=1.1, departed=-1.0)
    assert outcome.scores["rounds"] == 1
    with pytest.raises(UserError, match="refiner grabcut has hard seeds: use soft_outputs log_odds"):
        run(refiner="grabcut", soft_outputs="probabilities")


def test_test_images_and_useless_masks_are_left_out(run: Callable) -> None:
    empty = np.zeros(WORLD.shape, np.uint8)
    masks = {name: WORLD.mask(name) for name in WORLD.names} | {"b": empty, "c": empty + 1, "d": empty + 255}
    del masks["e"]
    scores = run(masks=save_masks(Path("some"), masks)).scores
    counts = ("images", "without_mask", "dropped_empty", "dropped_full")
    assert [scores[name] for name in counts] == [2, 1, 2, 1]
    with pytest.raises(UserError, match="no mask with both object and background"):
        run(masks=save_masks(Path("none"), {"a": empty}))


def test_same_seed_same_bytes_and_resume(run: Callable, monkeypatch: pytest.MonkeyPatch, forget: Callable) -> None:
    options = {"steps": 6, "average": 0.9, "teacher_share": 0.5}
    expected = run("whole", **options)
    forget()
    objective = training_segmenter.objective

    def dying(*arguments: Any) -> Callable:
        loss = objective(*arguments)

        def step(batch: Any, epoch: int) -> Any:
            if epoch == 1:
                raise KeyboardInterrupt
            return loss(batch, epoch)

        return step

    monkeypatch.setattr(training_segmenter, "objective", dying)
    with pytest.raises(KeyboardInterrupt):
        run("resumed", **options)
    monkeypatch.setattr(training_segmenter, "objective", objective)
    assert not Path("resumed").exists()
    assert run("resumed", **options) == expected
    whole, resumed = (Path(name, "round0.safetensors").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


def test_rounds_are_written_and_stop_when_they_agree(run: Callable) -> None:
    files.save_bytes(Path("out/round7.safetensors"), b"of an earlier run")
    outcome = run(rounds=3, converged=0.0, departed=-1.0)
    assert outcome.scores["rounds"] == 1 and 0 <= outcome.scores["agreement_round1"] <= 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["round0.safetensors", "round1.safetensors"]
    assert {row["round"] for row in outcome.curves} == {0, 1}
    first, second = (path.read_bytes() for path in saved_segmenter.rounds(Path("out")))
    assert first != second


@pytest.mark.parametrize("round_steps", [0, 8])
def test_a_further_round_trains_that_alone(
    run: Callable, forget: Callable, capfd: pytest.CaptureFixture, round_steps: int
) -> None:
    go_on = {"converged": 1.1, "departed": -1.0, "steps": 12, "balance": 1.0, "round_steps": round_steps}
    expected = run("whole", rounds=2, **go_on)
    forget()
    run("first", rounds=1, **go_on)
    capfd.readouterr()
    second_run = run("second", rounds=2, **go_on)
    assert second_run == expected
    columns = [[list(row) for row in outcome.curves] for outcome in (second_run, expected)]
    assert columns[0] == columns[1], "the table's columns stand in the same order too"
    trained = capfd.readouterr().err.count("segmenter, epoch 1:")
    assert trained == 1, "two progress lines would be two rounds"
    for number in range(3):
        whole, second = (Path(name, f"round{number}.safetensors").read_bytes() for name in ("whole", "second"))
        assert whole == second
    assert run("fewer", rounds=1, **go_on).scores["rounds"] == 1 and not Path("fewer/round2.safetensors").exists()


def test_a_round_goes_on_from_the_one_before_for_steps_of_its_own(run: Callable) -> None:
    still = {"encoder_rate": 0.0, "decoder_rate": 0.0, "weight_decay": 0.0, "fixed_norm": True, "average": 0.0}
    rounds = {"rounds": 1, "converged": 1.1, "departed": -1.0}
    curves = run("warm", round_steps=7, **rounds, **still).curves
    first, second = (path.read_bytes() for path in saved_segmenter.rounds(Path("warm")))
    assert first == second, "nothing was learned, so nothing may differ"
    passes = [sum(row["round"] == number for row in curves) for number in (0, 1)]
    assert passes == [2, 3], "4 and 7 steps of three batches a pass"
    run("anew", **rounds, **still)
    first, second = (path.read_bytes() for path in saved_segmenter.rounds(Path("anew")))
    assert first != second, "another decoder was drawn"


def test_a_round_that_departs_is_thrown_away(run: Callable) -> None:
    outcome = run(rounds=2, departed=2.0)
    assert outcome.scores["rounds"] == 0 and "agreement_round1" in outcome.scores
    assert {row["round"] for row in outcome.curves} == {0}
    assert [path.name for path in Path("out").iterdir()] == ["round0.safetensors"]


def test_true_masks_are_not_self_trained(run: Callable) -> None:
    assert run(supervision="full", rounds=3).scores["rounds"] == 0
    with pytest.raises(UserError, match="choose one of weak, full"):
        run(supervision="strong")
