"""Saved classifiers: weights, and in the header what it takes to build the network again."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from weakseg.artifacts.formats.labels import Target
from weakseg.harness import choices, device
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved


@dataclass(frozen=True)
class Header:
    """Builder's arguments (backbone file, variant), class names in index order, and what it was trained on.

    image_size: side in pixels; target: whether an image has one label, which files of old do not say. code: digest of
    the backbone's file, so that whatever is made from a network is made anew when its code changes.
    """

    backbone: str
    variant: str
    classes: list[str]
    image_size: int
    target: Target = "single"
    code: str = ""


def digest_code(backbone: str) -> str:
    """Sixteen hex digits that change with the backbone's file."""
    path = choices.PACKAGE / choices.FOLDERS["backbones"] / f"{backbone}.py"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def describe(backbone: str, variant: str, classes: list[str], image_size: int, target: Target) -> Header:
    """The header of a network as its code is now."""
    return Header(backbone, variant, classes, image_size, target, digest_code(backbone))


def save(path: Path, classifier: Classifier, header: Header) -> None:
    """Write a classifier."""
    saved.save_network(path, classifier, asdict(header))


def load(path: Path) -> tuple[Classifier, Header]:
    """Rebuild a classifier in evaluation mode; UserError when the weights do not fit what the header says."""
    return saved.load(path, Header, build, "classifier", "train_classifier or train_crm")


def load_on_device(path: Path) -> tuple[Classifier, Header]:
    """As `load`, the classifier on the device that networks run on."""
    classifier, header = load(path)
    return classifier.to(device.pick()), header


def build(header: Header, seed: int = 0) -> Classifier:
    """The same network with random weights from `seed`: the baseline that nothing was learned in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = choices.load("backbones", header.backbone).build(header.variant, len(header.classes), "random")
    classifier.target = header.target
    return classifier.eval()
