"""Training a classifier together with a network that reconstructs the image from its activation maps.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: an L1 term (its weight 0 gives the paper's loss), maps of any CAM method.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from weakseg import reconstruction_scores
from weakseg.data import grids
from weakseg.figures import pictures
from weakseg.harness import device
from weakseg.training import image_labels
from weakseg.training.crm import Data, Networks, Recipe, predictions

SHOWN = 5  # test images in the picture


def evaluate(networks: Networks, data: Data, recipe: Recipe) -> dict[str, float]:
    """Means over the held-out images: accuracy, l1, psnr (dB), ssim and, with features, perceptual distance."""
    frame, place = data.held_out(), device.pick()
    labels = image_labels.targets(frame, data.names, recipe.target)
    rows: list[dict[str, float]] = []
    right: list[Tensor] = []
    far: list[float] = []
    for ids, wanted, logits, _, found in predictions(networks, data.images, list(frame.index), recipe):
        part = labels[len(rows) : len(rows) + len(ids)]
        right.append(image_labels.accuracy(image_labels.probabilities(logits, recipe.target), part))
        far.append(float(networks.distance(found.to(place), wanted.to(place))) * len(ids))
        rows += reconstruction_scores.scores(*(batch.permute(0, 2, 3, 1).numpy() for batch in (found, wanted)))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    distance = {} if networks.features is None else {"perceptual": sum(far) / len(rows)}
    return {"accuracy": float(torch.cat(right).double().mean()), **means, **distance}


def pixels(image: Tensor) -> np.ndarray:
    """One image (3,H,W) in [-1, 1] as (H,W,3) uint8."""
    return ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)


def picture(networks: Networks, data: Data, recipe: Recipe) -> np.ndarray:
    """Five held-out images, their reconstructions and the maps of their (first) labels, side by side: (H,W,3) uint8."""
    frame = data.held_out()
    places = np.linspace(0, len(frame) - 1, min(SHOWN, len(frame))).round().astype(int)
    rows, titles = [], []
    for ids, wanted, _, maps, found in predictions(networks, data.images, list(frame.index[places]), recipe):
        for place, name in enumerate(ids):
            label = frame.at[name, "labels"][0]
            heat = grids.minmax(maps[place, [data.names.index(label)]].clamp(min=0).numpy())[0]
            image = pixels(wanted[place])
            rows.append([image, pixels(found[place]), pictures.blend(image, heat)])
            titles.append(label)
    return pictures.grid(rows, ["image", "reconstruction", "map of its label"], titles)
