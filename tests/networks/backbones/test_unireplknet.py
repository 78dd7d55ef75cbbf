"""UniRepLKNet against a re-computation from the official key names with plain functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks.backbones.networks import distance, images, merge, shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import unireplknet
from weakseg.networks.classifier import Classifier
from weakseg.networks.layers.large_kernel import LargeKernel
from weakseg.networks.loading import checkpoints

TO_OFFICIAL = (
    (r"^blocks\.(\d+)\.downsample\.", r"downsample_layers.\1."),
    (r"^blocks\.(\d+)\.blocks\.", r"stages.\1."),
    (r"^head\.norm\.", "norm."),
    (r"^head\.linear\.", "head."),
)
OLD_NAMES = (
    (r"dwconv\.lk_origin\.bn\.", "dwconv.origin_bn."),
    (r"dwconv\.lk_origin\.conv\.", "dwconv.lk_origin."),
    (r"dwconv\.dil_(k\d+_\d+)\.(conv|bn)\.", r"dwconv.dil_\2_\1."),
    (r"pwconv1\.", "pwconv1.1."),
    (r"response\.", "act.1."),
    (r"pwconv2\.", "pwconv2.0."),
    (r"norm2\.", "pwconv2.2."),
)
DEPTHS, BRANCHES = (1, 2), {"7": "k5_1 k3_2 k3_3", "13": "k5_1 k7_2 k3_3 k3_4 k3_5"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant as small as `small`, in the published form."""
    monkeypatch.setitem(unireplknet.VARIANTS, "tiny", replace(unireplknet.VARIANTS["small"], short_training=False))


def official(classifier: Classifier) -> dict[str, Tensor]:
    """The state under the names of the official checkpoints, not merged."""
    return checkpoints.rename(checkpoints.rename(classifier.state_dict(), OLD_NAMES), TO_OFFICIAL)


def norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    statistics = (state[f"{name}.running_mean"], state[f"{name}.running_var"])
    return F.batch_norm(x, *statistics, state[f"{name}.weight"], state[f"{name}.bias"])


def depthwise(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    def conv(key: str, dilation: int = 1) -> Tensor:
        kernel = state[f"{name}.{key}"]
        padding = dilation * (kernel.shape[-1] // 2)
        return F.conv2d(x, kernel, padding=padding, dilation=dilation, groups=len(kernel))

    if f"{name}.weight" in state:
        return conv("weight")
    total = norm(state, f"{name}.origin_bn", conv("lk_origin.weight"))
    for branch in BRANCHES[str(state[f"{name}.lk_origin.weight"].shape[-1])].split():
        total = total + norm(state, f"{name}.dil_bn_{branch}", conv(f"dil_conv_{branch}.weight", int(branch[-1])))
    return total


def block(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    y = norm(state, f"{name}.norm", depthwise(state, f"{name}.dwconv", x))
    squeezed = y.mean((2, 3), keepdim=True)
    squeezed = F.conv2d(squeezed, state[f"{name}.se.down.weight"], state[f"{name}.se.down.bias"]).relu()
    y = y * F.conv2d(squeezed, state[f"{name}.se.up.weight"], state[f"{name}.se.up.bias"]).sigmoid()
    y = F.gelu(y.permute(0, 2, 3, 1) @ state[f"{name}.pwconv1.1.weight"].T + state[f"{name}.pwconv1.1.bias"])
    energy = y.square().sum((1, 2), keepdim=True).sqrt()
    y = y * (1 + state[f"{name}.act.1.gamma"] * energy / (energy.mean(-1, keepdim=True) + 1e-6))
    y = (y + state[f"{name}.act.1.beta"]) @ state[f"{name}.pwconv2.0.weight"].T
    return x + state[f"{name}.gamma"][:, None, None] * norm(state, f"{name}.pwconv2.2", y.permute(0, 3, 1, 2))


def recomputed(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """UniRepLKNet's logits, written down from the paper and the official key names."""

    def halve(name: str, index: int, x: Tensor) -> Tensor:
        x = F.conv2d(x, state[f"{name}.{index}.weight"], state[f"{name}.{index}.bias"], 2, 1).permute(0, 2, 3, 1)
        weights = (state[f"{name}.{index + 1}.weight"], state[f"{name}.{index + 1}.bias"])
        return F.layer_norm(x, x.shape[-1:], *weights, 1e-6).permute(0, 3, 1, 2)

    for stage, depth in enumerate(DEPTHS):
        x = halve(f"downsample_layers.{stage}", 0, x)
        x = x if stage else halve("downsample_layers.0", 3, F.gelu(x))
        for i in range(depth):
            x = block(state, f"stages.{stage}.{i}", x)
    pooled = F.layer_norm(x.mean((2, 3)), x.shape[1:2], state["norm.weight"], state["norm.bias"], 1e-6)
    return pooled @ state["head.weight"].T + state["head.bias"]


def folded(classifier: Classifier) -> dict[str, Tensor]:
    """The official merged form: normalizations, scales and the response's bias folded into the weights around."""
    state = official(classifier)
    for name, layer in classifier.named_modules():
        if not isinstance(layer, unireplknet.Block):
            continue
        key = checkpoints.rename({f"{name}.": torch.ones(1)}, TO_OFFICIAL).popitem()[0]
        first, second = (n.weight / (n.running_var + n.eps).sqrt() for n in (layer.norm, layer.norm2))
        if isinstance(layer.dwconv, LargeKernel):
            kernel, bias = merge(layer.dwconv).lkb_reparam.parameters()
            target = f"{key}dwconv.lk_origin"
        else:
            kernel, bias, target = layer.dwconv.weight, torch.zeros_like(first), f"{key}dwconv"
        gone = ("dwconv.", "norm.", "pwconv2.2.", "gamma", "act.1.beta")
        state = {k: v for k, v in state.items() if not k.startswith(tuple(f"{key}{part}" for part in gone))}
        state[f"{target}.weight"] = kernel * first[:, None, None, None]
        state[f"{target}.bias"] = layer.norm.bias + (bias - layer.norm.running_mean) * first
        scale = second * layer.gamma
        state[f"{key}pwconv2.0.weight"] = layer.pwconv2.weight * scale[:, None]
        mixed = layer.pwconv2.weight @ layer.response.beta.flatten() - layer.norm2.running_mean
        state[f"{key}pwconv2.0.bias"] = mixed * scale + layer.norm2.bias * layer.gamma
    return {key: value.detach() for key, value in state.items()}


@pytest.fixture
def small() -> Classifier:
    torch.manual_seed(0)
    return shaken(unireplknet.build("tiny", 5, "random"))


def test_equals_the_recomputation(small: Classifier) -> None:
    with torch.no_grad():
        assert distance(small(images(2)), recomputed(official(small), images(2))) < 1e-5


def test_merging_large_kernels(small: Classifier) -> None:
    with torch.no_grad():
        expected = small(images(2))
        assert distance(merge(small)(images(2)), expected) < 1e-5


@pytest.mark.parametrize("form", [official, folded], ids=["branches", "merged"])
def test_official_checkpoint(small: Classifier, form, tmp_path: Path) -> None:
    with torch.no_grad():
        expected = small(images(2))
        torch.save({"model": form(small)}, tmp_path / "official.pth")
        loaded = unireplknet.build("tiny", 5, str(tmp_path / "official.pth")).eval()
        assert distance(loaded(images(2)), expected) < 1e-5


def test_merged_checkpoint_with_parts_missing(small: Classifier, tmp_path: Path) -> None:
    state = {key: value for key, value in folded(small).items() if "act.1" not in key and "dwconv" not in key}
    torch.save(state, tmp_path / "official.pth")
    with pytest.raises(UserError, match="belongs to another network: missing keys"):
        unireplknet.build("tiny", 5, str(tmp_path / "official.pth"))


def test_official_key_names() -> None:
    with torch.device("meta"):
        keys = official(unireplknet.build("T", 1000, "random")).keys()
    for key in (
        "downsample_layers.0.3.weight",
        "downsample_layers.3.1.bias",
        "stages.2.16.dwconv.lk_origin.weight",
        "stages.2.16.dwconv.origin_bn.running_var",
        "stages.2.16.dwconv.dil_conv_k7_2.weight",
        "stages.2.16.dwconv.dil_bn_k3_5.bias",
        "stages.2.17.dwconv.weight",
        "stages.2.17.se.down.bias",
        "stages.2.17.pwconv1.1.weight",
        "stages.2.17.act.1.gamma",
        "stages.2.17.pwconv2.0.weight",
        "stages.2.17.pwconv2.2.running_mean",
        "stages.2.17.gamma",
        "head.bias",
    ):
        assert key in keys


@pytest.mark.parametrize(("variant", "millions"), [("F", 6.2), ("N", 18.3), ("T", 31), ("B", 98), ("XL", 386)])
def test_published_parameter_counts(variant: str, millions: float) -> None:
    """The published counts are those of the merged form, cut after the last digit given."""
    with torch.device("meta"):
        network = unireplknet.build(variant, 1000, "random")
        count = sum(parameter.numel() for parameter in merge(network).parameters()) / 1e6
    assert millions <= count < millions + (0.1 if millions < 20 else 1)
