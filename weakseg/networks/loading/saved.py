"""Weights with a header that says how to build their network again: what every saved network shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from weakseg.errors import UserError

if TYPE_CHECKING:
    import torch
from weakseg.harness.files import existing, save_bytes

Network = TypeVar("Network", bound=nn.Module)
Header = TypeVar("Header")


def load(
    path: Path, header: type[Header], build: Callable[[Header], Network], noun: str, writers: str
) -> tuple[Network, Header]:
    """Rebuild a network in evaluation mode, and its header.

    UserError: the file holds no such network (`noun`, which the stages `writers` write), or its weights do not fit
    what its header says.
    """
    state, facts = load_network(path)
    found = parse_header(path, facts, header, noun, writers)
    network = build(found)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{path} does not fit the {noun} that its header names: {reason}") from None
    return network.eval(), found


def parse_header(path: Path, facts: dict[str, Any], header: type[Header], noun: str, writers: str) -> Header:
    """The facts of a file's header as a `header`; UserError where they are another kind of network's."""
    try:
        return header(**facts)
    except TypeError:
        raise UserError(f"{path} holds no {noun}: give a file that {writers} wrote") from None


def save_network(path: Path, module: torch.nn.Module, header: dict[str, Any]) -> None:
    """Write weights as safetensors with the builder's arguments in the header."""
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    save_bytes(path, save(state, metadata={"weakseg": json.dumps(header, sort_keys=True)}))


def read_header(path: Path) -> dict[str, Any]:
    """What a saved network's header says, its weights left on disk; UserError as in `load_network`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(existing(path), framework="pt") as file:
            return json.loads((file.metadata() or {})["weakseg"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is no network that weakseg saved ({error}): rerun the stage that writes it") from None


def load_network(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read weights and header; UserError when the file is damaged or not one of this project's."""
    from safetensors import SafetensorError, safe_open

    header = read_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, header
    except SafetensorError as error:
        raise UserError(f"{path} is no network that weakseg saved ({error}): rerun the stage that writes it") from None
