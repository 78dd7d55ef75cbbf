"""What training starts from: a network with the weights of a file, its head in the order of the data's classes.

The rows of a head are matched by name, never by position: one whose classes nobody names starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from weakseg.errors import UserError
from weakseg.harness.params import Network
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import checkpoints, from_timm
from weakseg.networks.weight_files import class_names, fetch_weights, identify

RECORDED = ("image_size", "target")  # of a classifier that this project saved, kept where it is used as it is


@dataclass(frozen=True)
class Start:
    """A classifier for the data's classes; what its file says of it; figures on its head, none for random weights."""

    classifier: Classifier
    facts: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileHead:
    """The head of a weight file: its length (None: the file has none) and its class names, where anything names them.

    origin: what the entry says; source: what the network is built from; given: a text file of the user's
    names them, so that a list of another length is a mistake.
    """

    origin: str
    source: str
    length: int | None
    names: list[str] | None
    given: bool

    @property
    def fits(self) -> bool:
        """Whether there is a name for each row."""
        return self.names is not None and len(self.names) == self.length

    def check_length(self) -> None:
        """UserError unless there is a name for each row."""
        if self.names is not None and self.length is not None and not self.fits:
            raise UserError(
                f"{self.origin} has a head of {self.length} classes, and the list of its classes names"
                f" {len(self.names)}: give one with a line for each row of the head"
            )


def start(network: Network, weights: Path, names: Sequence[str]) -> Start:
    """Build an entry's network on what download_weights kept of it at `weights`, for the data's classes `names`.

    With `train: none` the head is the file's; else it is where its classes have names and include all of the data's,
    and starts anew otherwise. UserError: another network's file, a list of another length than the head, and for
    `train: none` a file without a head, without class names, or that lacks a class of the data.
    """
    head, as_it_is = read_head(network, weights), network.train == "none"
    if as_it_is or head.given:
        head.check_length()
    order = find_rows(head, names, as_it_is)
    if head.length is None:
        return Start(network.backbone(network.variant, len(names), head.source))
    classifier = build(network, head, order, len(names))
    if order is None:
        print(f"{network.name}: the head starts anew: {explain_new_head(head, names)}", flush=True)
        return Start(classifier, scores={"head": "new", "classes_kept": 0, "classes_dropped": head.length})
    facts = checkpoints.read_header(weights) if as_it_is else {}
    kept = {"head": "of the file", "classes_kept": len(names), "classes_dropped": head.length - len(names)}
    return Start(classifier, {key: facts[key] for key in RECORDED if key in facts}, kept)


def read_head(network: Network, weights: Path) -> FileHead:
    """What is known of the head of an entry's weights without building the network."""
    source, header = fetch_weights.read_source(weights), checkpoints.read_header(weights)
    given, length = bool(header.get("classes_given")), None
    if source == "pretrained":
        published = identify.read_published(network.backbone.name, network.variant)
        length = published.num_classes if published else None
    elif source != "random":
        with torch.random.fork_rng(devices=[]):  # what is only looked at draws no numbers
            length = identify.compare(network.backbone.name, network.variant, checkpoints.read(weights)).classes
    return FileHead(network.weights, source, length, header.get("classes"), given)


def find_rows(head: FileHead, names: Sequence[str], as_it_is: bool) -> list[int] | None:
    """The head's row of each of the data's classes; None where the head has to start anew.

    UserError as `start`, where it must not.
    """
    rows = class_names.match(names, head.names) if head.names and head.fits else [None]
    if all(row is not None for row in rows):
        return [row for row in rows if row is not None]
    if not as_it_is:
        return None
    if head.length is None:
        raise UserError(
            f"train is none, but {head.origin} has no head: give a weight file with one, or train: {{}}, with epochs: 0"
            " where its features alone are wanted"
        )
    if head.names is None:
        raise UserError(
            f"train is none, but nothing names the {head.length} classes of {head.origin}: give classes, a text file"
            " with one name a line in the head's order"
        )
    lacking = class_names.phrase_missing(names, head.names)
    raise UserError(f"train is none, but {head.origin} lacks classes of the data, {lacking}: mend classes, or train")


def explain_new_head(head: FileHead, names: Sequence[str]) -> str:
    """Why a head is not kept."""
    if head.names is None:
        return f"nothing names its {head.length} classes in {head.origin} (classes of the entry would)"
    if not head.fits:
        return f"{head.origin} names {len(head.names)} classes for {head.length} rows"
    return f"{head.origin} lacks classes of the data, {class_names.phrase_missing(names, head.names)}"


def build(network: Network, head: FileHead, order: list[int] | None, classes: int) -> Classifier:
    """The network with the file's weights, its head's rows those of `order`, or new ones for None."""
    if order is None and head.length != classes:
        return network.backbone(network.variant, classes, head.source)  # a head of another length is not loaded
    fresh = network.backbone(network.variant, classes, "random")
    return move_weights(network.backbone(network.variant, head.length, head.source), fresh, order)


def move_weights(full: Classifier, fresh: Classifier, order: list[int] | None) -> Classifier:
    """`fresh` with the weights of `full`, its class rows those of `order`; with None it keeps its own."""
    state, own, keys = full.state_dict(), fresh.state_dict(), from_timm.find_class_keys(fresh)
    for key in own:
        if key.startswith(keys):
            state[key] = own[key] if order is None else state[key][torch.tensor(order)]  # (K',...) -> (K,...)
        elif key in state and own[key].shape != state[key].shape:
            state[key] = own[key]  # a U-Net's fixed mean of K maps
    checkpoints.adopt(fresh, state)
    fresh.load_state_dict(state)
    return fresh
