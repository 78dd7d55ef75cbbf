"""train_crm on drawn squares: what it trains and writes, warm-up, resume, both optimizers, every loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stages import evaluate_classifier, generate_cams, train_crm
from tests.world import CLASSES, World
from tests.world_networks import save_classifier
from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels, zips
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness import stage
from weakseg.harness.stage import Outcome
from weakseg.networks.loading import saved_classifier
from weakseg.networks.reconstruction import saved_reconstructor
from weakseg.networks.weight_files import fetch_weights
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

OUTPUTS = {"out": "c.safetensors", "reconstruct": "r.safetensors", "predictions": "y.csv", "picture": "p.png"}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Inputs by flag."""
    paths = WORLD.write(workplace, "images", "labels", "superpixels")
    fetch_weights.write_none(Path("start.safetensors"), "none")
    networks = {"classifier": save_classifier(Path("classifier.safetensors")), "perceptual": Path("no_weights")}
    return paths | networks | {"start": Path("start.safetensors")}


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
        outputs = {name: Path(folder, file) for name, file in OUTPUTS.items()}
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
    _, facts = saved_reconstructor.load(Path("out/r.safetensors"))
    assert (facts.classes, facts.width, facts.method) == (CLASSES, 16, "gradcampp")
    assert np.asarray(Image.open("out/p.png")).ndim == 3


def test_alignment_joins_after_the_warm_up(run: Callable) -> None:
    rows = run(warmup_epochs=1, perceptual="none", perceptual_weight=0.0).curves
    without = rows[0]["classification"] + rows[0]["l1"]
    assert rows[0]["loss"] == pytest.approx(without, rel=1e-4)
    assert rows[1]["loss"] == pytest.approx(
        rows[1]["classification"] + rows[1]["l1"] + 0.3 * rows[1]["alignment"], rel=1e-4
    )


def test_same_seed_same_bytes(run: Callable, forget: Callable) -> None:
    run("one")
    forget()
    run("two")
    for name in OUTPUTS.values():
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_one_more_epoch_goes_on_from_the_last(run: Callable, forget: Callable, capfd: pytest.CaptureFixture) -> None:
    expected = run("whole", epochs=3)
    forget()
    run("shorter", epochs=2)
    capfd.readouterr()
    assert run("longer", epochs=3) == expected
    told = capfd.readouterr().err
    assert "crm, epoch 3" in told and "crm, epoch 2" not in told
    for name in OUTPUTS.values():
        assert Path("whole", name).read_bytes() == Path("longer", name).read_bytes()


def test_a_killed_run_goes_on_with_the_same_result(
    run: Callable, monkeypatch: pytest.MonkeyPatch, forget: Callable
) -> None:
    expected = run("whole")
    forget()
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
    outputs = {name: Path(file) for name, file in OUTPUTS.items()}
    params = stage_params(train_crm, NETWORK, **SMALL)
    assert train_crm.main(params, **paths, **outputs) == Outcome()
    assert all(path.stat().st_size < 1000 for path in outputs.values())
    with pytest.raises(UserError, match="holds no classifier"):
        saved_classifier.load(outputs["out"])


def test_reconstruction_learns_and_every_trained_weight_moves(chosen: Callable, paths: dict[str, Path]) -> None:
    classifier, header = saved_classifier.load(paths["classifier"])
    params = chosen(method="cam", epochs=8, trainable_blocks=1)
    facts = crm_training.describe(classifier, header.classes, params.method, params)
    reconstruct = saved_reconstructor.build(facts)
    networks = crm_training.build(classifier, reconstruct, params.method, params, paths["perceptual"])
    data = Data(zips.Images(paths["images"]), labels.load_labels(paths["labels"]), header.classes)
    before = {name: weight.clone() for name, weight in networks.reconstruct.named_parameters()}
    rows = crm_training.train(networks, data, zips.Segments(paths["superpixels"]), params, Path("checkpoint.pt"))
    assert rows[-1]["l1"] < 0.8 * rows[0]["l1"]
    assert all(not torch.equal(weight, before[name]) for name, weight in networks.reconstruct.named_parameters())


def test_every_figure_belongs_to_the_network_that_crm_trained(
    run: Callable, paths: dict[str, Path], stage_params: Callable
) -> None:
    run(learning_rate=0.1, perceptual="none", perceptual_weight=0.0)
    table = pd.read_csv("out/y.csv").set_index("image_id")
    network, header = saved_classifier.load(Path("out/c.safetensors"))
    before, _ = saved_classifier.load(paths["classifier"])
    archive, frame = zips.Images(paths["images"]), labels.load_labels(paths["labels"])
    images = samples.ImageSamples(archive, list(frame.index), header.image_size, (network.mean, network.std))
    pixels = network.normalize(torch.stack([image for image, _ in images]) / 255)
    with torch.no_grad():
        probability, first = (one(pixels).softmax(1).numpy() for one in (network, before))
    np.testing.assert_allclose(table[[f"p_{name}" for name in CLASSES]], probability, atol=1e-5)
    assert not np.allclose(probability, first, atol=0.01), "training changed what is predicted"
    found = dict(zip(frame.index, probability.argmax(1), strict=True))
    assert table["predicted"].to_dict() == {name: CLASSES[number] for name, number in found.items()}

    shared = {name: paths[name] for name in ("images", "labels")} | {"classifier": Path("out/c.safetensors")}
    params = stage_params(generate_cams, "convnext", image_size=header.image_size, feature_level=1)
    generate_cams.main(params, **shared, **{name: Path(f"{name}_maps") for name in cam_outputs()})
    maps = activations.Cams(Path("out_maps"))
    test = list(frame.index[frame["split"] == "test"])
    assert [maps.cams(name).classes.tolist() for name in test] == [[found[name]] for name in test]

    outputs = {"confusion": Path("confusion.csv"), "pictures": Path("maps.png")}
    own = {"predictions": Path("out/y.csv"), "cams": Path("out_maps")}
    scored = evaluate_classifier.main(stage_params(evaluate_classifier, steps=2), **shared, **own, **outputs)
    right = [CLASSES[found[name]] == frame.at[name, "labels"][0] for name in test]
    assert scored.metrics["accuracy"] == pytest.approx(np.mean(right))


def cam_outputs() -> list[str]:
    """Flags of the archives that generate_cams writes."""
    return [name for name in stage.flags(generate_cams.main) if name not in ("images", "labels", "classifier")]


def test_it_starts_from_a_given_reconstruction_network(run: Callable, paths: dict[str, Path]) -> None:
    run("first", epochs=3)
    paths["start"] = Path("first/r.safetensors")
    again = run("second", epochs=1, reconstruct_rate=0.0)
    one, two = (saved_reconstructor.load(Path(folder, "r.safetensors"))[0] for folder in ("first", "second"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert np.isfinite(again.scores["l1"])
    with pytest.raises(UserError, match=r"width is 8, and first/r.safetensors has 16 channels: set width to 16"):
        run("third", width=8)


@pytest.mark.parametrize("fixed", [True, False])
def test_fixed_norm_keeps_the_statistics_of_the_blocks_that_train(
    run: Callable, paths: dict[str, Path], fixed: bool
) -> None:
    run(fixed_norm=fixed)
    before, after = (
        saved_classifier.load(path)[0].state_dict() for path in (paths["classifier"], Path("out/c.safetensors"))
    )
    last = [name for name in before if name.startswith("blocks.") and name.endswith("running_mean")][-1]
    assert torch.equal(before[last], after[last]) == fixed
    weights = [
        name for name, value in before.items() if name.endswith(".weight") and not torch.equal(value, after[name])
    ]
    assert weights
