"""Saved reconstruction networks: weights, and in the header whose maps they were trained to rebuild images from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from weakseg.errors import UserError
from weakseg.networks.loading import saved
from weakseg.networks.reconstruction.reconstructor import ReconstructNet

WRITTEN_TOGETHER = "give a pair that train_crm wrote together"


@dataclass(frozen=True)
class Header:
    """Builder's arguments, and what the maps were: class names in index order, CAM method and its options.

    stride: of the classifier's features, pixels a cell; width: channels at feature resolution; image_size: pixels.
    """

    classes: list[str]
    stride: int
    width: int
    image_size: int
    method: str
    options: dict[str, Any]


def save(path: Path, network: ReconstructNet, header: Header) -> None:
    """Write a reconstruction network."""
    saved.save_network(path, network, asdict(header))


def load(path: Path) -> tuple[ReconstructNet, Header]:
    """Rebuild a reconstruction network in evaluation mode; UserError when the weights do not fit the header."""
    return saved.load(path, Header, build, "reconstruction network", "train_crm")


def build(header: Header, seed: int = 0) -> ReconstructNet:
    """A network with random weights from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReconstructNet(len(header.classes), header.stride, header.width)


def start(path: Path, wanted: Header, seed: int) -> ReconstructNet:
    """What training starts from: the network in `path`, or a new one where the file holds none.

    UserError: that network was trained for other classes, another stride or another width than wanted.
    """
    if saved.read_header(path).get("weights") == "none":
        return build(wanted, seed)
    network, found = load(path)
    require_pair(path, found, wanted.classes, wanted.stride)
    if found.width != wanted.width:
        raise UserError(f"width is {wanted.width}, and {path} has {found.width} channels: set width to {found.width}")
    return network


def require_pair(path: Path, found: Header, classes: Sequence[str], stride: int) -> None:
    """UserError unless the network in `path` rebuilds images from maps of these classes, in order, at this stride."""
    if found.classes != list(classes):
        theirs, ours = _differing(found.classes, classes)
        raise UserError(f"{path} rebuilds images from maps of {theirs}, the classifier has {ours}: {WRITTEN_TOGETHER}")
    if found.stride != stride:
        raise UserError(
            f"{path} rebuilds images from maps of stride {found.stride}, the classifier's have {stride}:"
            f" {WRITTEN_TOGETHER}"
        )


def _differing(one: Sequence[str], other: Sequence[str]) -> tuple[str, str]:
    """Two unlike lists of classes in words: their lengths where these differ, else the first names that do."""
    if len(one) != len(other):
        return f"{len(one)} classes", str(len(other))
    place = next(number for number, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    return f"class {place} '{one[place]}'", f"'{other[place]}' there"
