"""`weakseg crm`: the figures of a trained pair once more, its sheet, and files that are no pair."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages import train_crm
from tests.world import CLASSES, World
from tests.world_networks import TINY, save_classifier
from weakseg.cli.__main__ import main
from weakseg.networks.loading import saved_classifier
from weakseg.networks.reconstruction import saved_reconstructor
from weakseg.networks.weight_files import fetch_weights

PAIR = ["crm", "--classifier", "c.safetensors", "--reconstruct", "r.safetensors"]


@pytest.fixture
def scores(workplace: Path, stage_params: Callable) -> dict[str, float]:
    """A pair that train_crm wrote on drawn squares, and the figures of its stage."""
    paths = World(train=6, val=0, test=3).write(Path("data"), "images", "labels", "superpixels")
    fetch_weights.write_none(Path("start.safetensors"), "none")
    fields = {"image_size": 32, "epochs": 2, "batch_size": 3, "width": 8, "method": "layercam"}
    none = {"perceptual": "none", "perceptual_weight": 0.0}
    params = stage_params(train_crm, "mobilenet", others={"weights_from": "crm"}, **fields, **none)
    files = {"out": "c.safetensors", "reconstruct": "r.safetensors", "predictions": "y.csv", "picture": "p.png"}
    classifier = save_classifier(Path("classifier.safetensors"))
    inputs = {"classifier": classifier, "perceptual": Path("none"), "start": Path("start.safetensors")}
    return train_crm.main(params, **paths, **inputs, **{name: Path(file) for name, file in files.items()}).scores


def test_a_pair_has_the_figures_and_the_picture_of_its_training(scores: dict, capsys: pytest.CaptureFixture) -> None:
    assert main([*PAIR, "--out", "sheet.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 images of split test, 32 pixels, maps by layercam"
    found = {line.split()[0]: float(line.split()[1]) for line in lines[1:-1]}
    assert found == pytest.approx(scores, abs=1e-4) and set(found) == {"accuracy", "l1", "psnr", "ssim"}
    assert np.array_equal(np.asarray(Image.open("sheet.png")), np.asarray(Image.open("p.png")))
    assert main([*PAIR, "--perceptual", "classifier"]) == 0
    assert "perceptual" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [*CLASSES, "blue"]}, "rebuilds images from maps of 3 classes, the classifier has 2"),
        ({"classes": CLASSES[::-1]}, "maps of class 0 'red', the classifier has 'green' there"),
        ({"stride": 4}, "maps of stride 4, the classifier's have "),
        ({"width": 16}, "does not fit the reconstruction network that its header names"),
    ],
)
def test_files_that_are_no_pair(scores: dict, capsys: pytest.CaptureFixture, changes: dict, message: str) -> None:
    network, header = saved_reconstructor.load(Path("r.safetensors"))
    other = dataclasses.replace(header, **changes)
    built = network if set(changes) == {"width"} else saved_reconstructor.build(other)
    saved_reconstructor.save(Path("r.safetensors"), built, other)
    assert main(PAIR) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_what_is_no_reconstruction_network_is_named(scores: dict, capsys: pytest.CaptureFixture) -> None:
    assert main([*PAIR[:-1], "c.safetensors"]) == 1
    assert "c.safetensors holds no reconstruction network" in capsys.readouterr().err
    assert main([*PAIR, "--perceptual", "vgg.pth"]) == 1
    assert "vgg.pth does not exist" in capsys.readouterr().err
    classifier, _ = saved_classifier.load(Path("c.safetensors"))
    saved_classifier.save(Path("c.safetensors"), classifier, dataclasses.replace(TINY, classes=["one", "two"]))
    assert main(PAIR) == 1
    assert "class 0 'green', the classifier has 'one' there" in capsys.readouterr().err
