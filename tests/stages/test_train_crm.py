"""train_crm on drawn squares: what it trains and writes, warm-up, resume, both optimizers, every loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stages import train_crm
from tests import drawn_squares
from weakseg.artifacts import tables, zips
from weakseg.errors import UserError
from weakseg.harness import choices, params
from weakseg.networks.fixed_features import of_classifier
from weakseg.networks.loading import saved, saved_classifier
from weakseg.networks.reconstructor import ReconstructNet
from weakseg.training import crm
from weakseg.training.crm import Data, Networks, Recipe

SECTION = {
    "method": "gradcampp",
    "gradcampp": {},
    "image_size": 32,
    "target": "single",
    "epochs": 2,
    "warmup_epochs": 1,
    "batch_size": 3,
    "flip": True,
    "trainable_blocks": 2,
    "learning_rate": 1e-3,
    "reconstruct_rate": 1e-2,
    "width": 16,
    "l1_weight": 1.0,
    "perceptual": "classifier",
    "perceptual_weight": 0.3,
    "alignment_weight": 0.3,
    "precision": "fp32",
}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.chdir(tmp_path)
    return drawn_squares.write(tmp_path)


def section(**changed: object) -> train_crm.Params:
    whole = {"seed": 0, "train_crm": {**SECTION, **changed}}
    return params.check(train_crm.Params, "train_crm", whole, Path("params.yaml"))


def run(paths: dict[str, Path], out: str = "out", **changed: object) -> tuple[dict, list[dict]]:
    inputs = {name: paths[name] for name in ("images", "labels", "superpixels", "classifier")}
    inputs["perceptual"] = Path("no_weights")
    outputs = {
        "out": Path(out, "c.safetensors"),
        "reconstruct": Path(out, "r.safetensors"),
        "picture": Path(out, "p.png"),
    }
    torch.manual_seed(0)
    return train_crm.main(section(**changed), backbone="mobilenet", **inputs, **outputs)


def test_it_writes_classifier_reconstruction_and_picture(paths: dict[str, Path]) -> None:
    metrics, rows = run(paths)
    assert set(metrics) == {"accuracy", "l1", "psnr", "ssim", "perceptual"} and 0 <= metrics["accuracy"] <= 1
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


def test_alignment_joins_after_the_warm_up(paths: dict[str, Path]) -> None:
    _, rows = run(paths, warmup_epochs=1, perceptual="none", perceptual_weight=0.0)
    without = rows[0]["classification"] + rows[0]["l1"]
    assert rows[0]["loss"] == pytest.approx(without, rel=1e-4)
    assert rows[1]["loss"] == pytest.approx(
        rows[1]["classification"] + rows[1]["l1"] + 0.3 * rows[1]["alignment"], rel=1e-4
    )


def test_same_seed_same_bytes(paths: dict[str, Path]) -> None:
    run(paths, "one"), run(paths, "two")
    for name in ("c.safetensors", "r.safetensors", "p.png"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_killed_run_goes_on_with_the_same_result(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(paths, "whole")
    objective = crm.objective

    def dying(*arguments: object):
        loss = objective(*arguments)

        def step(batch: object, epoch: int):
            if epoch == 1:
                raise KeyboardInterrupt
            return loss(batch, epoch)

        return step

    monkeypatch.setattr(crm, "objective", dying)
    with pytest.raises(KeyboardInterrupt):
        run(paths, "resumed")
    monkeypatch.setattr(crm, "objective", objective)
    assert not Path("resumed").exists()
    assert run(paths, "resumed") == expected
    assert Path("whole/c.safetensors").read_bytes() == Path("resumed/c.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("method", "options"), [("cam", {"weights": "class"}), ("scorecam", {"channels": 4, "grouping": "top", "chunk": 4})]
)
def test_other_methods_run(paths: dict[str, Path], method: str, options: dict) -> None:
    metrics, _ = run(paths, epochs=1, method=method, **{method: options})
    assert np.isfinite(metrics["l1"])


def test_missing_weights_and_held_out_images_are_named(paths: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="vgg19 has no weights"):
        run(paths, perceptual="vgg19")
    with pytest.raises(UserError, match="perceptual is none"):
        run(paths, perceptual="none")
    frame = tables.load_labels(paths["labels"])
    tables.save_labels(paths["labels"], frame.assign(split="train"))
    with pytest.raises(UserError, match="neither test nor validation"):
        run(paths)


def test_reconstruction_learns_and_every_trained_weight_moves(paths: dict[str, Path]) -> None:
    classifier, header = saved_classifier.load(paths["classifier"])
    torch.manual_seed(0)
    networks = Networks(
        classifier,
        ReconstructNet(2, classifier.stride, 16),
        choices.load("methods", "cam"),
        {"weights": "class"},
        of_classifier(classifier),
    )
    frame = tables.load_labels(paths["labels"])
    data = Data(zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), frame, header.classes)
    values = section(epochs=8, trainable_blocks=1).model_dump()
    recipe = Recipe(**{name: values[name] for name in Recipe.__dataclass_fields__})
    before = {name: weight.clone() for name, weight in networks.reconstruct.named_parameters()}
    rows = crm.train(networks, data, recipe, Path("checkpoint.pt"))
    assert rows[-1]["l1"] < 0.8 * rows[0]["l1"]
    assert all(not torch.equal(weight, before[name]) for name, weight in networks.reconstruct.named_parameters())
