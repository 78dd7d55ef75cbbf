"""The stages of a frozen network: one pass over the images, and the bytes they would have without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stages import distill_cams, generate_cams, train_classifier
from tests.contents import content
from tests.parameters import entries
from tests.world import World
from weakseg.harness import resume
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen import once
from weakseg.networks.weight_files import fetch_weights

WORLD = World(train=10, val=2, test=4)
SHOWN = {"image_size": 48, "batch_size": 4}
CHANGES = {
    train_classifier: SHOWN | {"epochs": 3, "trainable_blocks": 0},
    generate_cams: SHOWN | {"projection_images": 4, "feature_channels": 3, "norm_level": -1},
    distill_cams: SHOWN
    | {"levels": [-1], "refined_rounds": 0, "rounds": 2, "least_foreground": 0.0, "most_foreground": 1.0},
}
WRITES = {
    train_classifier: {"out": "classifier.safetensors", "predictions": "predictions.csv", "checkpoints": "kept"},
    generate_cams: {"classifier": "classifier.safetensors", "out": "cams", "known": "known"},
    distill_cams: {"classifier": "classifier.safetensors", "cams": "cams", "out": "distilled"},
}
ARTIFACTS = ("classifier.safetensors", "predictions.csv", "cams", "known", "distilled")
Run = Callable[..., int]


@pytest.fixture
def run(workplace: Path, stage_params: Callable, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One stage with changed fields; the number of images and mirror images that went through the network."""
    given = WORLD.write(workplace, "images", "labels")
    superpixels = WORLD.write(workplace, "superpixels")
    fetch_weights.write_none(Path("weights.safetensors"), "random")
    inputs = {train_classifier: given | {"weights": Path("weights.safetensors")}, generate_cams: given}
    inputs[distill_cams] = given | superpixels
    seen: list[int] = []
    original = Classifier.features_at

    def counted(self: Classifier, images: torch.Tensor, level: int) -> torch.Tensor:
        seen.append(len(images))
        return original(self, images, level)

    monkeypatch.setattr(Classifier, "features_at", counted)

    def call(stage, network: str, **changes) -> int:
        seen.clear()
        params = stage_params(stage, network, others={"networks": entries(network)}, **CHANGES[stage] | changes)
        stage.main(params, **inputs[stage], **{flag: Path(name) for flag, name in WRITES[stage].items()})
        return sum(seen)

    return call


@pytest.mark.parametrize("network", ["mobilenet", "resnet"])
def test_one_pass_serves_all_stages_with_the_same_bytes(run: Run, network: str) -> None:
    images, probe = len(WORLD.names), 1
    assert run(train_classifier, network) == 2 * images + probe
    missed = run(generate_cams, network)
    assert missed < 2 * 4 and run(distill_cams, network) == 0, "but for maps of labels that a prediction missed"
    before = [content(Path(name)) for name in ARTIFACTS]
    resume.clean()
    assert run(generate_cams, network) == 2 * images + missed + 4
    assert run(distill_cams, network) == 2 * images
    assert [content(Path(name)) for name in ARTIFACTS] == before
    assert not once.home().exists(), "only what trains a head alone keeps features"


def test_another_method_or_head_runs_no_network(run: Run) -> None:
    run(train_classifier, "resnet")
    assert run(train_classifier, "resnet", epochs=1, label_smoothing=0.1) == 0
    assert run(generate_cams, "resnet", method="layercam", predicted="topk") == 0
    assert run(generate_cams, "resnet", method="layercam", levels=[0, 1], predicted="topk") > 0, "another grid"


def test_a_network_whose_blocks_train_keeps_nothing(run: Run) -> None:
    run(train_classifier, "resnet", trainable_blocks=-1, epochs=1)
    assert not once.home().exists()


def test_maps_of_another_size_are_computed(run: Run) -> None:
    run(train_classifier, "resnet")
    assert run(generate_cams, "resnet", image_size=32) >= 2 * len(WORLD.names)
