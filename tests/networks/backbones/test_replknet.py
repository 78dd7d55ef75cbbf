"""RepLKNet against a re-computation from the official key names with plain functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks.backbones.networks import distance, images, merge, shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import replknet
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import checkpoints

TO_OFFICIAL = (
    (r"^blocks\.0\.", "stem."),
    (r"^blocks\.(\d+)\.transition\.", lambda found: f"transitions.{int(found[1]) - 2}."),
    (r"^blocks\.(\d+)\.blocks\.", lambda found: f"stages.{int(found[1]) - 1}.blocks."),
    (r"^head\.norm\.", "norm."),
    (r"^head\.linear\.", "head."),
)


def official(classifier: Classifier) -> dict[str, Tensor]:
    """The state under the names of the official checkpoints."""
    return checkpoints.rename(classifier.state_dict(), TO_OFFICIAL)


def norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    statistics = (state[f"{name}.running_mean"], state[f"{name}.running_var"])
    return F.batch_norm(x, *statistics, state[f"{name}.weight"], state[f"{name}.bias"])


def conv(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1, depthwise: bool = False) -> Tensor:
    kernel = state[f"{name}.conv.weight"]
    groups = len(kernel) if depthwise else 1
    x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=groups)
    return norm(state, f"{name}.bn", x)


def recomputed(state: dict[str, Tensor], x: Tensor, layers: tuple[int, ...]) -> Tensor:
    """RepLKNet's logits, written down from the paper and the official key names."""
    x = conv(state, "stem.0", x, 2).relu()
    x = conv(state, "stem.1", x, depthwise=True).relu()
    x = conv(state, "stem.2", x).relu()
    x = conv(state, "stem.3", x, 2, depthwise=True).relu()
    for stage, depth in enumerate(layers):
        if stage:
            x = conv(state, f"transitions.{stage - 1}.0", x).relu()
            x = conv(state, f"transitions.{stage - 1}.1", x, 2, depthwise=True).relu()
        for pair in range(depth):
            block, feed = (f"stages.{stage}.blocks.{2 * pair + i}" for i in (0, 1))
            y = conv(state, f"{block}.pw1", norm(state, f"{block}.prelkb_bn", x)).relu()
            y = conv(state, f"{block}.large_kernel.lkb_origin", y, depthwise=True) + conv(
                state, f"{block}.large_kernel.small_conv", y, depthwise=True
            )
            x = x + conv(state, f"{block}.pw2", y.relu())
            y = F.gelu(conv(state, f"{feed}.pw1", norm(state, f"{feed}.preffn_bn", x)))
            x = x + conv(state, f"{feed}.pw2", y)
    return norm(state, "norm", x).mean((2, 3)) @ state["head.weight"].T + state["head.bias"]


@pytest.fixture(scope="module")
def small() -> Classifier:
    torch.manual_seed(0)
    return shaken(replknet.build("small", 5, "random"))


def test_equals_the_recomputation(small: Classifier) -> None:
    with torch.no_grad():
        assert distance(small(images(2)), recomputed(official(small), images(2), (1, 2))) < 1e-5


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("merged", [False, True])
def test_official_checkpoint(small: Classifier, wrapper: str | None, merged: bool, tmp_path: Path) -> None:
    network = replknet.build("small", 5, "random").eval()
    network.load_state_dict(small.state_dict())
    state = official(merge(network) if merged else network)
    assert any(".large_kernel.lkb_reparam.weight" in key for key in state) == merged
    torch.save({wrapper: state} if wrapper else state, tmp_path / "official.pth")
    loaded = replknet.build("small", 5, str(tmp_path / "official.pth")).eval()
    with torch.no_grad():
        assert distance(loaded(images(2)), small(images(2))) < 1e-5


def test_other_number_of_classes_keeps_the_features(small: Classifier, tmp_path: Path) -> None:
    torch.save(official(small), tmp_path / "official.pth")
    loaded = replknet.build("small", 7, str(tmp_path / "official.pth")).eval()
    with torch.no_grad():
        assert torch.equal(loaded.features(images(1)), small.features(images(1)))
    assert loaded(images(1)).shape == (1, 7)


def test_official_key_names() -> None:
    with torch.device("meta"):
        keys = official(replknet.build("31B", 1000, "random")).keys()
        extra = official(replknet.build("XL", 1000, "random")).keys()
    for key in (
        "stem.3.conv.weight",
        "stages.2.blocks.34.prelkb_bn.running_var",
        "stages.2.blocks.34.pw1.conv.weight",
        "stages.2.blocks.34.large_kernel.lkb_origin.bn.bias",
        "stages.2.blocks.34.large_kernel.small_conv.conv.weight",
        "stages.2.blocks.35.preffn_bn.weight",
        "stages.2.blocks.35.pw2.bn.weight",
        "transitions.2.1.conv.weight",
        "norm.running_mean",
        "head.weight",
    ):
        assert key in keys
    assert keys - extra == {key for key in keys if ".small_conv." in key}


@pytest.mark.parametrize(("variant", "millions"), [("31B", 79), ("31L", 172), ("XL", 335)])
def test_published_parameter_counts(variant: str, millions: int) -> None:
    with torch.device("meta"):
        network = replknet.build(variant, 1000, "random")
    assert int(sum(parameter.numel() for parameter in network.parameters()) / 1e6) == millions
    assert network.stride == 32


def test_checkpoint_of_another_family(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(64, 3, 7, 7)}, tmp_path / "resnet.pth")
    with pytest.raises(UserError, match=r"resnet\.pth belongs to another network: missing keys .* unexpected keys 1"):
        replknet.build("small", 5, str(tmp_path / "resnet.pth"))
