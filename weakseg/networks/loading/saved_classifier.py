"""Saved classifiers: weights, and in the header what it takes to build the network again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from weakseg.harness import choices
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved


@dataclass(frozen=True)
class Header:
    """Builder's arguments (backbone file, variant), class names in index order, and the side it was trained at."""

    backbone: str
    variant: str
    classes: list[str]
    image_size: int


def save(path: Path, classifier: Classifier, header: Header) -> None:
    """Write a classifier."""
    saved.save_network(path, classifier, asdict(header))


def load(path: Path) -> tuple[Classifier, Header]:
    """Rebuild a classifier in evaluation mode; UserError when the weights do not fit what the header says."""
    return saved.load(path, Header, build, "classifier", "train_classifier or train_crm")


def build(header: Header, seed: int = 0) -> Classifier:
    """The same network with random weights from `seed`: the baseline that nothing was learned in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = choices.load("backbones", header.backbone).build(header.variant, len(header.classes), "random")
    return classifier.eval()
