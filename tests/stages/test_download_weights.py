"""The download_weights stage: a file a network, all or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages import download_weights
from weakseg.errors import UserError


@pytest.fixture
def run(workplace: Path, stage_params: Callable) -> Callable[..., dict[str, int]]:
    """The stage with the weights of two networks, and VGG-19's."""

    def call(resnet: str, slak: str, perceptual: str) -> dict[str, int]:
        networks = {"resnet": {"weights": resnet}, "slak": {"weights": slak}}
        params = stage_params(download_weights, perceptual=perceptual, others={"networks": networks})
        out = {
            "out": Path("weights"),
            "perceptual": Path("perceptual.safetensors"),
            "reconstruct": Path("r.safetensors"),
        }
        Path("checked").touch()
        return download_weights.main(params, checked=Path("checked"), **out).scores

    return call


def test_a_file_for_each_network_and_its_tensors_are_counted(run: Callable) -> None:
    torch.save({"features.0.bias": torch.ones(2), "classifier.0.bias": torch.ones(2)}, "weights.pth")
    scores = run("weights.pth", "random", "weights.pth")
    assert (scores["resnet"], scores["slak"], scores["vgg19"]) == (2, 0, 1)
    assert {path.stem for path in Path("weights").iterdir()} == set(scores) - {"vgg19", "reconstruct"}
    assert set(load_file("weights/resnet.safetensors")) == {"features.0.bias", "classifier.0.bias"}
    assert set(load_file("weights/slak.safetensors")) == set()
    assert set(load_file("perceptual.safetensors")) == {"features.0.bias"}
    assert set(run("random", "pretrained", "none").values()) == {0}


def test_two_files_of_one_name_stay_apart(run: Callable) -> None:
    for folder, count in (("one", 1), ("two", 2)):
        Path(folder).mkdir()
        torch.save({f"bias{number}": torch.ones(2) for number in range(count)}, f"{folder}/weights.pth")
    scores = run("one/weights.pth", "two/weights.pth", "none")
    assert (scores["resnet"], scores["slak"]) == (1, 2)


def test_failure_leaves_all_previous_files(run: Callable) -> None:
    torch.save({"features.0.bias": torch.ones(2)}, "weights.pth")
    run("weights.pth", "random", "none")
    before = Path("weights/resnet.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"absent.pth does not exist"):
        run("random", "random", "absent.pth")
    assert Path("weights/resnet.safetensors").read_bytes() == before


def test_the_parameters_are_checked_first(run: Callable, stage_params: Callable) -> None:
    with pytest.raises(UserError, match=r"params\.checked does not exist"):
        download_weights.main(
            stage_params(download_weights),
            checked=Path("params.checked"),
            out=Path("o"),
            perceptual=Path("p"),
            reconstruct=Path("r"),
        )
