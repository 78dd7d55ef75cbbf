"""SLaK against a re-computation from the official key names with plain functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks.backbones.networks import distance, images, merge, shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import slak
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import checkpoints

TO_OFFICIAL = (
    (r"^blocks\.(\d+)\.downsample\.", r"downsample_layers.\1."),
    (r"^blocks\.(\d+)\.blocks\.", r"stages.\1."),
    (r"^head\.norm\.", "norm."),
    (r"^head\.linear\.", "head."),
)
SPARSITY = 0.4


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant as small as `small`, in the published form."""
    monkeypatch.setitem(slak.VARIANTS, "tiny", replace(slak.VARIANTS["small"], short_training=False))


def official(classifier: Classifier) -> dict[str, Tensor]:
    """The state under the names of the official checkpoints."""
    return checkpoints.rename(classifier.state_dict(), TO_OFFICIAL)


def layer_norm(state: dict[str, Tensor], name: str, cells: Tensor) -> Tensor:
    return F.layer_norm(cells, cells.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)


def branch(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    kernel = state[f"{name}.conv.weight"]
    x = F.conv2d(x, kernel, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2), groups=len(kernel))
    statistics = (state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"])
    return F.batch_norm(x, *statistics, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"])


def recomputed(
    state: dict[str, Tensor], x: Tensor, depths: tuple[int, ...], strip: float = 1.0, square: float = 0.0
) -> Tensor:
    """SLaK's logits, written down from the paper and the official key names."""
    for stage, depth in enumerate(depths):
        entry = f"downsample_layers.{stage}"
        conv, norm = (f"{entry}.0", f"{entry}.1") if stage == 0 else (f"{entry}.1", f"{entry}.0")
        weights, step = (state[f"{conv}.weight"], state[f"{conv}.bias"]), 2 if stage else 4
        if stage:
            x = layer_norm(state, norm, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.conv2d(x, *weights, step)
        if not stage:
            x = layer_norm(state, norm, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for block in (f"stages.{stage}.{i}" for i in range(depth)):
            y = strip * sum(branch(state, f"{block}.large_kernel.{n}", x) for n in ("LoRA1", "LoRA2", "small_conv"))
            if square:
                y = y + square * branch(state, f"{block}.large_kernel.square", x)
            y = layer_norm(state, f"{block}.norm", y.permute(0, 2, 3, 1))
            y = F.gelu(y @ state[f"{block}.pwconv1.weight"].T + state[f"{block}.pwconv1.bias"])
            y = y @ state[f"{block}.pwconv2.weight"].T + state[f"{block}.pwconv2.bias"]
            x = x + (state[f"{block}.gamma"] * y).permute(0, 3, 1, 2)
    return layer_norm(state, "norm", x.mean((2, 3))) @ state["head.weight"].T + state["head.bias"]


@pytest.fixture
def small() -> Classifier:
    torch.manual_seed(0)
    return shaken(slak.build("tiny", 5, "random"))


def test_equals_the_recomputation(small: Classifier) -> None:
    with torch.no_grad():
        assert distance(small(images(2)), recomputed(official(small), images(2), (1, 2))) < 1e-5


@pytest.mark.parametrize(("strip", "square"), [(0.3, 0.7), (0.5, 0.5)])
def test_flexible_variant_weighs_strips_and_square(strip: float, square: float) -> None:
    network = shaken(slak.build(f"tiny@{strip}:{square}", 5, "random"))
    with torch.no_grad():
        expected = recomputed(official(network), images(2), (1, 2), strip, square)
        assert distance(network(images(2)), expected) < 1e-5
        assert distance(merge(network)(images(2)), expected) < 1e-5


@pytest.mark.parametrize("variant", ["small@", "small@1", "small@1:2:3", "small@a:b"])
def test_flexible_weights_that_are_no_numbers(variant: str) -> None:
    with pytest.raises(UserError, match=r"write the weights as small@strip:square, as small@0\.5:0\.5"):
        slak.build(variant, 5, "random")


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("merged", [False, True])
def test_official_checkpoint(small: Classifier, wrapper: str | None, merged: bool, tmp_path: Path) -> None:
    network = slak.build("tiny", 5, "random").eval()
    network.load_state_dict(small.state_dict())
    state = official(merge(network) if merged else network)
    torch.save({wrapper: state} if wrapper else state, tmp_path / "official.pth")
    loaded = slak.build("tiny", 5, str(tmp_path / "official.pth")).eval()
    with torch.no_grad():
        assert distance(loaded(images(2)), small(images(2))) < 1e-5


def test_official_key_names() -> None:
    with torch.device("meta"):
        state = official(slak.build("T", 1000, "random"))
    assert state["stages.0.2.large_kernel.LoRA1.conv.weight"].shape == (124, 1, 51, 5)
    assert state["stages.1.0.large_kernel.LoRA2.conv.weight"].shape == (249, 1, 5, 49)
    assert state["stages.3.2.large_kernel.small_conv.bn.running_var"].shape == (998,)
    assert state["downsample_layers.3.1.weight"].shape == (998, 499, 2, 2)
    assert {"stages.2.8.gamma", "stages.2.8.pwconv2.bias", "norm.weight", "head.bias"} <= state.keys()


@pytest.mark.parametrize(("variant", "millions"), [("T", 30), ("S", 55), ("B", 95)])
def test_published_parameter_counts(variant: str, millions: int) -> None:
    """The published counts leave out the 40 % of the weights that the official training zeroes."""
    with torch.device("meta"):
        parameters = list(slak.build(variant, 1000, "random").parameters())
    dense = sum(parameter.numel() for parameter in parameters)
    zeroed = SPARSITY * sum(parameter.numel() for parameter in parameters if parameter.ndim in (2, 4))
    assert round((dense - zeroed) / 1e6) == millions


def test_checkpoint_of_another_family(tmp_path: Path) -> None:
    torch.save({"stem.0.conv.weight": torch.ones(128, 3, 3, 3)}, tmp_path / "replknet.pth")
    with pytest.raises(UserError, match=r"replknet\.pth belongs to another network"):
        slak.build("T", 5, str(tmp_path / "replknet.pth"))
