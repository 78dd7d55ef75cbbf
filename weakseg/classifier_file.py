"""Saved classifiers: weights, and in the header what it takes to build the network again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from weakseg import choices, store
from weakseg.classifier import Classifier
from weakseg.errors import UserError


@dataclass(frozen=True)
class Header:
    """Builder's arguments (backbone file, variant), class names in index order, and the side it was trained at."""

    backbone: str
    variant: str
    classes: list[str]
    image_size: int


def save(path: Path, classifier: Classifier, header: Header) -> None:
    """Write a classifier."""
    store.save_network(path, classifier, asdict(header))


def load(path: Path) -> tuple[Classifier, Header]:
    """Rebuild a classifier in evaluation mode; UserError when the weights do not fit what the header says."""
    state, facts = store.load_network(path)
    try:
        header = Header(**facts)
    except TypeError:
        raise UserError(f"{path} holds no classifier: give a file that train_classifier or train_crm wrote") from None
    classifier = build(header)
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit {header.backbone} {header.variant}: {str(error).splitlines()[1].strip()}"
        ) from None
    return classifier.eval(), header


def build(header: Header, seed: int = 0) -> Classifier:
    """The same network with random weights from `seed`: the baseline that nothing was learned in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = choices.load("backbones", header.backbone).build(header.variant, len(header.classes), "random")
    return classifier.eval()
