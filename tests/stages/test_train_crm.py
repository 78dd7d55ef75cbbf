"""train_crm on drawn squares: what it trains and writes, warm-up, resume, both optimizers, every loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages import train_crm
from tests.world import World
from tests.world_networks import save_classifier
from weakseg.artifacts import labels, zips
from weakseg.errors import UserError
from weakseg.harness.stage import Outcome
from weakseg.networks.loading import saved, saved_classifier
from weakseg.networks.reconstructor import ReconstructNet
from weakseg.training import crm_training
from weakseg.training.crm import Data

NETWORK = "mobilenet"
WORLD = World(train=6, val=0, test=2)
SMALL = {
    "method": "gradcampp",
    "image_size": 32,
    "epochs": 2,
    "warmup_epochs": 1,
    "batch_size": 3,
    "perceptual": "classifier",
    "perceptual_weight": 0.3,
}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs by flag."""
    paths = WORLD.write(workplace, "images", "labels", "superpixels")
    return paths | {"classifier": save_classifier(Path("classifier.safetensors")), "perceptual": Path("no_weights")}


@pytest.fixture
def chosen(stage_params: Callable) -> Callable[..., train_crm.Params]:
    """Parameters with changed fields, for maps that come from CRM."""

    def build(**changes: Any) -> train_crm.Params:
        return stage_params(train_crm, NETWORK, others={"weights_from": "crm"}, **SMALL | changes)

    return build


@pytest.fixture
def run(paths: dict[str, Path], chosen: Callable) -> Callable[..., Outcome]:
    """The stage with changed fields."""

    def call(folder: str = "out", **changes: Any) -> Outcome:
        files = {"out": "c.safetensors", "reconstruct": "r.safetensors", "picture": "p.png"}
        outputs = {name: Path(folder, file) for name, file in files.items()}
        torch.manual_seed(0)
        return train_crm.main(chosen(**changes), **paths, **outputs)

    return call


def test_it_writes_classifier_reconstruction_and_picture(run: Callable, paths: dict[str, Path]) -> None:
    outcome = run()
    scores, rows = outcome.scores, outcome.curves
    assert set(scores) == {"accuracy", "l1", "psnr", "ssim", "perceptual"} and 0 <= scores["accuracy"] <= 1
    assert [row["epoch"] for row in rows] == [1, 2] and all(np.isfinite(list(row.values())).all() for row in rows)
    before, after = (saved_classifier.load(path)[0] for path in (paths["classifier"], Path("out/c.safetensors")))
    changed = [
        not all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
        for one, two in zip(before.blocks, after.blocks, strict=True)
    ]
    assert changed == [False] * (len(changed) - 2) + [True] * 2, "only the last two groups train"
    assert not torch.equal(before.head.weight, after.head.weight)
    state, facts = saved.load_network(Path("out/r.safetensors"))
    ReconstructNet(**facts).load_state_dict(state)
    assert np.asarray(Image.open("out/p.png")).ndim == 3
    assert not list(Path(".cache/train_crm").iterdir())


def test_alignment_joins_after_the_warm_up(run: Callable) -> None:
    rows = run(warmup_epochs=1, perceptual="none", perceptual_weight=0.0).curves
    without = rows[0]["classification"] + rows[0]["l1"]
    assert rows[0]["loss"] == pytest.approx(without, rel=1e-4)
    assert rows[1]["loss"] == pytest.approx(
        rows[1]["classification"] + rows[1]["l1"] + 0.3 * rows[1]["alignment"], rel=1e-4
    )


def test_same_seed_same_bytes(run: Callable) -> None:
    run("one")
    run("two")
    for name in ("c.safetensors", "r.safetensors", "p.png"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_killed_run_goes_on_with_the_same_result(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run("whole")
    objective = crm_training.objective

    def dying(*arguments: Any) -> Callable:
        loss = objective(*arguments)

        def step(batch: Any, epoch: int) -> Any:
            if epoch == 1:
                raise KeyboardInterrupt
            return loss(batch, epoch)

        return step

    monkeypatch.setattr(crm_training, "objective", dying)
    with pytest.raises(KeyboardInterrupt):
        run("resumed")
    monkeypatch.setattr(crm_training, "objective", objective)
    assert not Path("resumed").exists()
    assert run("resumed") == expected
    assert Path("whole/c.safetensors").read_bytes() == Path("resumed/c.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("method", "options"), [("cam", {"weights": "class"}), ("scorecam", {"channels": 4, "grouping": "top", "chunk": 4})]
)
def test_other_methods_run(run: Callable, method: str, options: dict) -> None:
    outcome = run(epochs=1, method=method, options={method: options})
    assert np.isfinite(outcome.scores["l1"])


def test_missing_weights_and_held_out_images_are_named(run: Callable, paths: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="vgg19 has no weights"):
        run(perceptual="vgg19")
    with pytest.raises(UserError, match="perceptual is none"):
        run(perceptual="none")
    frame = labels.load_labels(paths["labels"])
    labels.save_labels(paths["labels"], frame.assign(split="train"))
    with pytest.raises(UserError, match="neither test nor validation"):
        run()


def test_nothing_is_trained_where_maps_come_from_the_classifier(paths: dict[str, Path], stage_params: Callable) -> None:
    outputs = {"out": Path("c.safetensors"), "reconstruct": Path("r.safetensors"), "picture": Path("p.png")}
    params = stage_params(train_crm, NETWORK, **SMALL)
    assert train_crm.main(params, **paths, **outputs) == Outcome()
    assert all(path.stat().st_size < 1000 for path in outputs.values())
    with pytest.raises(UserError, match="holds no classifier"):
        saved_classifier.load(outputs["out"])


def test_reconstruction_learns_and_every_trained_weight_moves(chosen: Callable, paths: dict[str, Path]) -> None:
    classifier, header = saved_classifier.load(paths["classifier"])
    params = chosen(method="cam", epochs=8, trainable_blocks=1)
    networks = crm_training.build(classifier, 2, params.method, params, paths["perceptual"])
    frame = labels.load_labels(paths["labels"])
    data = Data(zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), frame, header.classes)
    before = {name: weight.clone() for name, weight in networks.reconstruct.named_parameters()}
    rows = crm_training.train(networks, data, params, Path("checkpoint.pt"))
    assert rows[-1]["l1"] < 0.8 * rows[0]["l1"]
    assert all(not torch.equal(weight, before[name]) for name, weight in networks.reconstruct.named_parameters())
