"""train_classifier on drawn squares: it learns them, predicts every image, and starts from what the entry says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from stages import train_classifier
from tests.parameters import entries
from tests.world import CLASSES, World
from weakseg.harness import choices
from weakseg.harness.stage import Outcome
from weakseg.networks.loading import saved_classifier
from weakseg.networks.weight_files import fetch_weights
from weakseg.training import predictions

WORLD = World(train=8, val=4, test=4)
NETWORK = "resnet"
SMALL = {"image_size": 32, "epochs": 8, "batch_size": 4}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs and outputs by flag; the weight file is that of a network that starts from random weights."""
    fetch_weights.write_none(Path("weights.safetensors"), "random")
    outputs = {"out": Path("classifier.safetensors"), "predictions": Path("predictions.csv")}
    outputs |= {"checkpoints": Path("checkpoints")}
    return WORLD.write(workplace, "images", "labels") | outputs | {"weights": Path("weights.safetensors")}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields, and changed fields of the entry."""

    def call(entry: dict[str, Any] | None = None, **changes: Any) -> Outcome:
        others = {"networks": {NETWORK: entries(NETWORK)[NETWORK] | (entry or {})}}
        params = stage_params(train_classifier, NETWORK, others=others, **SMALL | changes)
        return train_classifier.main(params, **paths)

    return call


def test_it_learns_predicts_every_image_and_the_same_bytes_again(
    run: Callable, paths: dict[str, Path], forget: Callable
) -> None:
    outcome = run()
    table = pd.read_csv(paths["predictions"]).set_index("image_id")
    assert list(table.index) == WORLD.names and set(table["split"]) == {"train", "val", "test"}
    right = [CLASSES[WORLD.class_of(name)] for name in WORLD.names]
    assert (table["predicted"] == right).mean() > 0.8
    assert [row["epoch"] for row in outcome.curves] == list(range(1, outcome.scores["epochs"] + 1))
    classifier, header = saved_classifier.load(paths["out"])
    assert (header.backbone, header.variant, header.classes, header.image_size) == ("resnet", "small", CLASSES, 32)
    assert outcome.scores["parameters"] == sum(weight.numel() for weight in classifier.parameters())
    before = [paths[name].read_bytes() for name in ("out", "predictions")]
    assert not list(Path(".cache").rglob("*.pt")), "no checkpoint of a training that is done"
    forget()
    assert run() == outcome
    assert [paths[name].read_bytes() for name in ("out", "predictions")] == before


def test_epochs_are_kept_where_asked_and_no_others_stay(run: Callable, paths: dict[str, Path]) -> None:
    run(epochs=4, keep_every=2)
    kept = sorted(paths["checkpoints"].iterdir())
    assert [path.name for path in kept] == ["epoch002.safetensors", "epoch004.safetensors"]
    assert saved_classifier.load(kept[0])[1] == saved_classifier.load(paths["out"])[1]
    run(epochs=1)
    assert paths["checkpoints"].is_dir() and not list(paths["checkpoints"].iterdir())


def test_an_entry_of_networks_may_want_other_numbers(run: Callable) -> None:
    assert run({"train": {"epochs": 1}}).scores["epochs"] == 1


def test_it_starts_from_the_weights_it_is_given(run: Callable, paths: dict[str, Path]) -> None:
    start = timm.create_model("resnet18", layers=(1, 1, 1, 1), channels=(32, 64, 96, 128), stem_width=32).state_dict()
    save_file(start, "timm.safetensors")
    fetch_weights.bring("timm.safetensors", Path("brought"), paths["weights"])
    run(epochs=1, trainable_blocks=0)
    found = saved_classifier.load(paths["out"])[0].blocks.state_dict()
    expected = [value for name, value in start.items() if not name.startswith("fc.")]
    assert all(torch.equal(one, other) for one, other in zip(found.values(), expected, strict=True))


AS_IT_IS = {"weights": "export.safetensors", "train": "none"}


def export(path: Path, order: list[int]) -> list[str]:
    """What someone else would have of the trained network: its tensors, the classes in another order; their names."""
    classifier, header = saved_classifier.load(path)
    state = dict(classifier.state_dict())
    for key in ("head.linear.weight", "head.linear.bias"):
        state[key] = state[key][order]
    names = [header.classes[number].upper() for number in order]
    save_file(state, "export.safetensors", metadata={"weakseg": '{"backbone": "resnet"}', "classes": json.dumps(names)})
    return names


def test_a_file_with_its_head_gives_the_same_predictions_without_training(
    run: Callable, paths: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    before = saved_classifier.load(paths["out"])[0].state_dict()
    predictions = paths["predictions"].read_bytes()
    assert export(paths["out"], [1, 0]) == ["RED", "GREEN"]
    fetch_weights.bring("export.safetensors", Path("brought"), paths["weights"])
    outcome = run(AS_IT_IS)
    assert paths["predictions"].read_bytes() == predictions
    classifier, header = saved_classifier.load(paths["out"])
    assert header.classes == CLASSES
    assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())
    assert outcome.curves == [{"epoch": 0, "loss": None}] and "train_loss" not in outcome.scores
    expected = {"epochs": 0, "head": "of the file", "classes_kept": 2, "classes_dropped": 0}
    assert {key: outcome.scores[key] for key in expected} == expected
    assert "anew" not in capsys.readouterr().out


def test_a_classifier_of_this_project_keeps_its_target_and_image_size(run: Callable, paths: dict[str, Path]) -> None:
    run(target="multi", epochs=1)
    shutil.copy(paths["out"], "export.safetensors")
    predictions = paths["predictions"].read_bytes()
    fetch_weights.bring("export.safetensors", Path("brought"), paths["weights"])
    run(AS_IT_IS, image_size=48, target="single")
    header = saved_classifier.load(paths["out"])[1]
    assert (header.target, header.image_size) == ("multi", 32)
    assert paths["predictions"].read_bytes() == predictions


@pytest.mark.parametrize(
    "changes", [{}, {"trainable_blocks": 0}, {"schedule": "plateau"}, {"target": "multi"}], ids=str
)
def test_no_epochs_leave_the_network_as_it_is(run: Callable, paths: dict[str, Path], changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    expected = choices.load("backbones", "resnet").build("small", 2, "random").state_dict()
    assert run(epochs=0, **changes).scores["epochs"] == 0
    found = saved_classifier.load(paths["out"])[0].state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    assert list(pd.read_csv(paths["predictions"])["image_id"]) == WORLD.names


@pytest.mark.parametrize(("schedule", "goes_on"), [("constant", True), ("plateau", True), ("onecycle", False)])
def test_one_more_epoch_goes_on_from_the_last_where_no_schedule_counts_them(
    run: Callable, forget: Callable, capfd: pytest.CaptureFixture, schedule: str, goes_on: bool
) -> None:
    expected = run(epochs=3, schedule=schedule)
    whole = [Path(name).read_bytes() for name in ("classifier.safetensors", "predictions.csv")]
    forget()
    run(epochs=2, schedule=schedule)
    capfd.readouterr()
    assert run(epochs=3, schedule=schedule) == expected
    assert [Path(name).read_bytes() for name in ("classifier.safetensors", "predictions.csv")] == whole
    told = capfd.readouterr().err
    assert "classifier, epoch 3" in told and ("classifier, epoch 1" in told) is not goes_on


def test_a_run_killed_while_it_predicts_trains_nothing_again(
    run: Callable, forget: Callable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    expected = run()
    forget()
    find = predictions.find_probabilities

    def dying(*arguments: Any) -> Any:
        for number, found in enumerate(find(*arguments)):
            if number == 6:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(predictions, "find_probabilities", dying)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(predictions, "find_probabilities", find)
    capfd.readouterr()
    assert run() == expected
    assert "classifier, epoch" not in capfd.readouterr().err
