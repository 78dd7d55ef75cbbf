"""Weights with a header that says how to build their network again: what every saved network shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from weakseg import store
from weakseg.errors import UserError

Network = TypeVar("Network", bound=nn.Module)
Header = TypeVar("Header")


def load(
    path: Path, header: type[Header], build: Callable[[Header], Network], noun: str, writers: str
) -> tuple[Network, Header]:
    """Rebuild a network in evaluation mode, and its header.

    UserError: the file holds no such network (`noun`, which the stages `writers` write), or its weights do not fit
    what its header says.
    """
    state, facts = store.load_network(path)
    try:
        found = header(**facts)
    except TypeError:
        raise UserError(f"{path} holds no {noun}: give a file that {writers} wrote") from None
    network = build(found)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{path} does not fit the {noun} that its header names: {reason}") from None
    return network.eval(), found
