"""train_classifier on drawn squares: it learns them, predicts every image, and starts from what the entry says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from stages import train_classifier
from tests.world import CLASSES, World
from weakseg.harness.stage import Outcome
from weakseg.networks import fetch_weights
from weakseg.networks.loading import saved_classifier

WORLD = World(train=8, val=4, test=4)
NETWORK = "resnet"
SMALL = {"image_size": 32, "epochs": 8, "batch_size": 4}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs and outputs by flag; the weight file is that of a network that starts from random weights."""
    fetch_weights.write_none(Path("weights.safetensors"), "random")
    outputs = {"out": Path("classifier.safetensors"), "predictions": Path("predictions.csv")}
    return WORLD.write(workplace, "images", "labels") | outputs | {"weights": Path("weights.safetensors")}


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields, and changed fields of the entry."""

    def call(entry: dict[str, Any] | None = None, **changes: Any) -> Outcome:
        params = stage_params(train_classifier, NETWORK, others={"networks": {NETWORK: entry or {}}}, **SMALL | changes)
        return train_classifier.main(params, **paths)

    return call


def test_it_learns_predicts_every_image_and_the_same_bytes_again(run: Callable, paths: dict[str, Path]) -> None:
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
    assert run() == outcome
    assert [paths[name].read_bytes() for name in ("out", "predictions")] == before
    assert not list(Path(".cache/train_classifier").iterdir())


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
