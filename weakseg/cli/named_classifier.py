"""A classifier to look at, with the names of its classes: one that the pipeline trained, or a network by its name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved_classifier

IMAGENET_CLASSES = 1000
SIDE = 224  # pixels, where a network does not say what it was trained at


@dataclass(frozen=True)
class NamedClassifier:
    """A classifier, its class names in index order, and the side in pixels images are warped to."""

    classifier: Classifier
    names: list[str]
    size: int


def load(path: Path) -> NamedClassifier:
    """A classifier that the pipeline trained."""
    classifier, header = saved_classifier.load(path)
    return NamedClassifier(classifier, header.classes, header.image_size)


def build(backbone: str, variant: str, weights: str, listed: list[str] | None = None) -> NamedClassifier:
    """A backbone's variant with weights `pretrained`, `random` or of a file, and the names of its classes.

    The names are those `listed`, else the file's own, else ImageNet's for 1,000 classes, else numbers. UserError: the
    file belongs to another network, or its head has not a row for each name that is listed.
    """
    from weakseg.networks.loading import checkpoints
    from weakseg.networks.weight_files import file_classes, identify

    facts = identify.read_published(backbone, variant)
    classes = facts.num_classes if facts else IMAGENET_CLASSES
    if weights not in ("pretrained", "random"):
        classes = identify.compare(backbone, variant, checkpoints.read(weights)).classes or classes
        found = file_classes.find(Path(weights)) or []
        listed = listed or (found if len(found) == classes else None)
    if listed and len(listed) != classes:
        raise UserError(f"the list names {len(listed)} classes, but the head has {classes}: give a line for each row")
    classifier = choices.load("backbones", backbone).build(variant, classes, weights).eval()
    return NamedClassifier(classifier, listed or name_classes(classes), facts.input_size[-1] if facts else SIDE)


def name_classes(classes: int) -> list[str]:
    """ImageNet's names for 1,000 classes, else `class 0`, `class 1` and so on."""
    if classes != IMAGENET_CLASSES:
        return [f"class {index}" for index in range(classes)]
    from timm.data import ImageNetInfo

    facts = ImageNetInfo()
    return [facts.index_to_description(index).split(",")[0] for index in range(classes)]


def find_class(given: str, names: Sequence[str]) -> int:
    """Index of a class given by name or number; UserError offers the nearest names."""
    if given in names:
        return list(names).index(given)
    if given.isdigit() and int(given) < len(names):
        return int(given)
    by_lower = {name.lower(): name for name in names}
    near = [by_lower[name] for name in difflib.get_close_matches(given.lower(), list(by_lower), 3, 0.4)]
    offer = f"did you mean {', '.join(near)}?" if near else f"for example {', '.join(names[:3])}"
    raise UserError(f"class '{given}' does not exist: {offer} (or a number from 0 to {len(names) - 1})")
