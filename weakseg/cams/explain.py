"""Explain what a classifier sees in one image: its prediction, and the maps of several methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from weakseg.cams import arithmetic, multiscale
from weakseg.cams.view import Method, select_views, wanted_levels
from weakseg.data import grids, samples
from weakseg.figures.drawing import heat, sheets
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier

CELL = 224  # pixels of a picture in the figure


@dataclass(frozen=True)
class Plan:
    """Side in pixels the image is warped to; methods by name; levels whose maps are fused (0 is the last); copies
    that are averaged."""

    size: int
    methods: dict[str, Method]
    levels: Sequence[int]
    fusion: arithmetic.Fusion
    scales: Sequence[float]
    flip: bool


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


@torch.no_grad()
def explain(classifier: Classifier, plan: Plan, image: np.ndarray, wanted: int | None) -> Explanation:
    """Explain class `wanted`, or the predicted one, in an image (H,W,3) uint8; one forward pass serves all methods."""
    pixels = samples.to_tensor(grids.warp(image, plan.size))[None].to(levels.locate(classifier))  # (1,3,S,S)
    totals = {name: multiscale.Mean() for name in plan.methods}
    copies = multiscale.scale_and_mirror(classifier.normalize(pixels), plan.scales, plan.flip)
    with levels.evaluating(classifier):
        for number, (copy, mirrored) in enumerate(copies):
            known = levels.outputs(classifier, copy, wanted_levels(classifier, plan.levels))
            if number == 0:
                found = classifier.probabilities(classifier.logits(known[classifier.levels]))
                explained = int(found.argmax()) if wanted is None else wanted
                classes = torch.tensor([[explained]], device=pixels.device)
            views = select_views(classifier, copy, known, plan.levels)
            for name, method in plan.methods.items():
                scores = arithmetic.fuse([method(view, classes) for view in views], plan.fusion)  # (1,1,h,w)
                totals[name].add([scores[0, 0]], mirrored)
    ready = {name: arithmetic.minmax(total.result()[0]).cpu().numpy() for name, total in totals.items()}
    return Explanation(found[0].cpu().numpy(), explained, ready)


def draw(image: np.ndarray, explanation: Explanation, names: Sequence[str], label: str | None) -> np.ndarray:
    """The image beside each method's heat map, and below it that map laid over the image: (height, width, 3) uint8.

    Captions: the true class where it is known, the predicted one, and the explained one with its probability.
    """
    best, explained = (
        f"{names[index]} {explanation.probabilities[index]:.2f}"
        for index in (explanation.predicted, explanation.explained)
    )
    heats = [heat.draw_heat(image, one) for one in explanation.maps.values()]
    blends = [heat.blend(image, one) for one in explanation.maps.values()]
    return sheets.lay_out(
        [[image, *heats], [None, *blends]],
        titles=[f"true: {label}" if label else "image", *explanation.maps],
        captions=[
            [f"predicted: {best}", *[""] * len(heats)],
            ["", *[f"map of {explained}"] * len(heats)],
        ],
        size=CELL,
    )
