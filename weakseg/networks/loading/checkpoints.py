"""Weight files: reading them safely, and loading them into a network by key, with errors that name what differs."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from weakseg.errors import UserError

WRAPPERS = ("model", "state_dict", "model_state_dict")
PARALLEL_PREFIX = "module."
MEMBER_PREFIX = "model."  # of a network that a training script keeps as a member of its own
KEYS_SHOWN = 3
SAVED_HEADS = ("head.linear.", "head.network.")  # of a `Classifier`: pooled, or timm's own

State = dict[str, Tensor]
Rules = Iterable[tuple[str, str | Callable[[re.Match[str]], str]]]
# Official checkpoints in the layout of Facebook's ConvNeXt (also SLaK's, UniRepLKNet's), as keys of our classifiers.
CONVNEXT_LAYOUT: Rules = (
    (r"^downsample_layers\.(\d+)\.", r"blocks.\1.downsample."),  # downsample_layers.0 is the stem
    (r"^stages\.(\d+)\.", r"blocks.\1.blocks."),  # stages.2.5.gamma -> blocks.2.blocks.5.gamma
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.linear.\1"),
)


def unwrap(content: object, path: str | Path) -> State:
    """The state dict inside what a file held: bare or under one of WRAPPERS, with or without `module.` or `model.`."""
    for key in WRAPPERS:
        content = content[key] if isinstance(content, dict) and isinstance(content.get(key), dict) else content
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no network weights: expected named tensors, give a state dict")
    strangers = [str(key) for key, value in content.items() if not (type(key) is str and is_plain(value))]
    if strangers:
        raise UserError(
            f"{path} holds no network weights: {', '.join(strangers[:KEYS_SHOWN])} is not a named plain tensor"
        )
    state = {key.removeprefix(PARALLEL_PREFIX): value for key, value in content.items()}
    if all(key.startswith(MEMBER_PREFIX) for key in state):
        state = {key.removeprefix(MEMBER_PREFIX): value for key, value in state.items()}
    return state


def is_plain(value: object) -> bool:
    """Whether a value is a dense tensor on the CPU that owns as much memory as its shape says."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return not value.is_quantized and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def read(path: str | Path) -> State:
    """Named tensors of a safetensors file or of a torch file (weights only: no code in it is run), on the CPU.

    UserError: no such file, or whatever a damaged or hostile file provokes in its reader.
    """
    return unwrap(open_file(Path(path)), path)


def open_file(path: Path) -> object:
    """What a file holds, as it is; UserError as `read`."""
    if not path.is_file():
        raise UserError(f"weight file {path} does not exist: give 'random', 'pretrained' or the path of a file")
    try:
        return load_file(path) if path.suffix == ".safetensors" else load_torch(path)
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"{path} is no safe weight file ({reason}): give safetensors, or a torch file of tensors only"
        ) from None


def load_torch(path: Path) -> object:
    """A torch file without running code; training arguments beside the weights, an argparse.Namespace, are let in."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def read_header(path: Path) -> dict[str, Any]:
    """What this project wrote beside the weights of a safetensors file; empty for any other file."""
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get("weakseg", "{}")
    try:
        facts = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}


def is_classifier(path: Path) -> bool:
    """Whether a file is a classifier that this project saved, its keys those of a `Classifier` (not timm's)."""
    return "backbone" in read_header(path) and any(key.startswith(SAVED_HEADS) for key in list_names(path))


def list_names(path: Path) -> list[str]:
    """Names of the tensors of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def rename(state: State, rules: Rules) -> State:
    """The state with each key passed through the first rule (pattern, replacement) that matches it."""
    renamed = {}
    for key, value in state.items():
        rule = next(((pattern, new) for pattern, new in rules if re.search(pattern, key)), None)
        renamed[re.sub(*rule, key) if rule else key] = value
    return renamed


def list_keys(keys: Iterable[str]) -> str:
    """`none`, or the count and the first few keys."""
    keys = sorted(keys)
    if not keys:
        return "none"
    return f"{len(keys)} ({', '.join(keys[:KEYS_SHOWN])}{', ...' if len(keys) > KEYS_SHOWN else ''})"


def find_differences(module: nn.Module, state: State, head: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """Keys missing from `state`, unexpected in it, and of another shape.

    Keys under a prefix of `head` may differ in their first length, the number of classes.
    """
    wanted = module.state_dict()
    other_shape = [
        key
        for key in wanted.keys() & state.keys()
        if wanted[key].shape != state[key].shape
        and not (key.startswith(head) and wanted[key].shape[1:] == state[key].shape[1:])
    ]
    return sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys()), sorted(other_shape)


def check(module: nn.Module, state: State, head: tuple[str, ...], where: str | Path) -> None:
    """UserError with counts and the first keys, unless `state` fits `module` but for its number of classes."""
    missing, unexpected, other_shape = find_differences(module, state, head)
    if missing or unexpected or other_shape:
        raise UserError(
            f"{where} belongs to another network: missing keys {list_keys(missing)},"
            f" unexpected keys {list_keys(unexpected)}, other shapes {list_keys(other_shape)};"
            f" `weakseg inspect {where}` says what it is"
        )
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise UserError(f"{where} holds values that are not finite in {list_keys(broken)}: give an intact weight file")


def adopt(module: nn.Module, state: State) -> None:
    """Merge the layers of `module` that `state` holds merged."""
    for name, layer in module.named_modules():
        if hasattr(layer, "adopt"):
            layer.adopt(state, f"{name}.")


def fit(module: nn.Module, state: State, head: tuple[str, ...], where: str | Path) -> None:
    """Load `state` strictly; where the number of classes differs, the keys under `head` keep their values instead.

    UserError: another network's state.
    """
    adopt(module, state)
    check(module, state, head, where)
    wanted = module.state_dict()
    if any(key.startswith(head) and wanted[key].shape != state[key].shape for key in wanted):
        state = {**state, **{key: value for key, value in wanted.items() if key.startswith(head)}}
    module.load_state_dict(state)


def load(module: nn.Module, path: str, head: tuple[str, ...], convert: Callable[[State], State] | None = None) -> None:
    """Load the weight file at `path` into `module`, its keys first brought to the module's names by `convert`."""
    state = read(path)
    fit(module, convert(state) if convert else state, head, path)


def initialize(classifier: nn.Module, weights: str, backbone: str, convert: Callable[[State], State]) -> None:
    """Leave a backbone of ours as it is for weights `random`, or load the file; there is nothing to download."""
    if weights == "pretrained":
        raise UserError(f"{backbone} has no download of pretrained weights: give the path of a checkpoint, or 'random'")
    if weights != "random":
        load(classifier, weights, ("head.linear.",), convert)
