"""Explain what a classifier sees in one image: its prediction, and the maps of several methods side by side."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weakseg.cams import arithmetic, multiscale
from weakseg.cams.extraction import fused
from weakseg.data import grids, samples
from weakseg.errors import UserError
from weakseg.figures import pictures
from weakseg.harness import choices, device
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved_classifier

IMAGENET_CLASSES = 1000
CELL = 224  # pixels of a picture in the figure


@dataclass(frozen=True)
class Model:
    """A classifier, its class names in index order, and the side in pixels images are warped to."""

    classifier: Classifier
    names: list[str]
    size: int


@dataclass(frozen=True)
class Plan:
    """Methods by name; levels whose maps are fused (0 is the last); views that are averaged; how logits become
    probabilities (softmax for target `single`, sigmoid for `multi`)."""

    methods: dict[str, levels.Method]
    levels: Sequence[int]
    fusion: str
    scales: Sequence[float]
    flip: bool
    target: str


@dataclass(frozen=True)
class Explanation:
    """Probabilities (K,), the explained class, and its map (h,w) in [0, 1] from each method."""

    probabilities: np.ndarray
    explained: int
    maps: dict[str, np.ndarray]

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())


def saved(path: Path) -> Model:
    """A classifier that the pipeline trained."""
    classifier, header = saved_classifier.load(path)
    return Model(classifier, header.classes, header.image_size)


def named(backbone: str, variant: str, weights: str) -> Model:
    """A backbone's variant with weights `pretrained`, `random` or of a file; 1,000 classes take ImageNet's names.

    UserError: the file belongs to another network.
    """
    import timm

    from weakseg.networks import identify
    from weakseg.networks.loading import checkpoints

    module = choices.load("backbones", backbone)
    name = getattr(module, "VARIANTS", {}).get(variant, {}).get("name", variant)
    facts = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    classes = facts.num_classes if facts else IMAGENET_CLASSES
    if weights not in ("pretrained", "random"):
        classes = identify.compare(backbone, variant, checkpoints.read(weights)).classes or classes
    classifier = module.build(variant, classes, weights).eval()
    return Model(classifier, class_names(classes), facts.input_size[-1] if facts else CELL)


def class_names(classes: int) -> list[str]:
    """ImageNet's names for 1,000 classes, else `class 0`, `class 1` and so on."""
    if classes != IMAGENET_CLASSES:
        return [f"class {index}" for index in range(classes)]
    from timm.data import ImageNetInfo

    facts = ImageNetInfo()
    return [facts.index_to_description(index).split(",")[0] for index in range(classes)]


def class_index(given: str, names: Sequence[str]) -> int:
    """Index of a class given by name or number; UserError offers the nearest names."""
    if given in names:
        return list(names).index(given)
    if given.isdigit() and int(given) < len(names):
        return int(given)
    by_lower = {name.lower(): name for name in names}
    near = [by_lower[name] for name in difflib.get_close_matches(given.lower(), list(by_lower), 3, 0.4)]
    offer = f"did you mean {', '.join(near)}?" if near else f"for example {', '.join(names[:3])}"
    raise UserError(f"class '{given}' does not exist: {offer} (or a number from 0 to {len(names) - 1})")


def probabilities(logits: Tensor, target: str) -> Tensor:
    """Softmax for `single`, sigmoid for `multi`."""
    return logits.softmax(1) if target == "single" else logits.sigmoid()


@torch.no_grad()
def explain(model: Model, plan: Plan, image: np.ndarray, wanted: int | None) -> Explanation:
    """Explain class `wanted`, or the predicted one, in an image (H,W,3) uint8; one forward pass serves all methods."""
    classifier = model.classifier
    pixels = samples.to_tensor(grids.warp(image, model.size))[None].to(device.pick())
    totals = {name: multiscale.Mean() for name in plan.methods}
    views = multiscale.views(classifier.normalize(pixels), plan.scales, plan.flip)
    with levels.evaluating(classifier):
        for number, (view, mirrored) in enumerate(views):
            known = levels.outputs(classifier, view, [*plan.levels, 0])
            if number == 0:
                found = probabilities(classifier.logits(known[classifier.levels]), plan.target)
                explained = int(found.argmax()) if wanted is None else wanted
                classes = torch.tensor([[explained]], device=pixels.device)
            for name, method in plan.methods.items():
                one = fused(classifier, plan.levels, plan.fusion, method, (view, known), classes)
                totals[name].add([one[0, 0]], mirrored)
    ready = {name: arithmetic.minmax(total.result()[0]).cpu().numpy() for name, total in totals.items()}
    return Explanation(found[0].cpu().numpy(), explained, ready)


def figure(image: np.ndarray, explanation: Explanation, names: Sequence[str], label: str | None) -> np.ndarray:
    """The image beside each method's heat map, and below it that map laid over the image: (height, width, 3) uint8.

    Captions: the true class where it is known, the predicted one, and the explained one with its probability.
    """
    best, explained = (
        f"{names[place]} {explanation.probabilities[place]:.2f}"
        for place in (explanation.predicted, explanation.explained)
    )
    heats = [pictures.heat(image, one) for one in explanation.maps.values()]
    blends = [pictures.blend(image, one) for one in explanation.maps.values()]
    return pictures.grid(
        [[image, *heats], [None, *blends]],
        titles=[f"true: {label}" if label else "image", *explanation.maps],
        captions=[
            [f"predicted: {best}", *[""] * len(heats)],
            ["", *[f"map of {explained}"] * len(heats)],
        ],
        size=CELL,
    )
