"""How well a map explains a classifier, measured without masks: hide or show pixels in the map's order and look at the
class's probability.

Average drop, increase in confidence: Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++" (2018),
arXiv 1710.11063. Insertion, deletion: Petsiuk, Das, Saenko, "RISE: Randomized input sampling for explanation of
black-box models" (2018), arXiv 1806.07421. ROAD: Rong, Leemann, Borisov, Kasneci, Kasneci, "A consistent and efficient
evaluation strategy for attribution methods" (2022), arXiv 2202.00449.
Differs from the papers: hidden pixels take the data's mean color, zero in normalized images; ROAD's two orders are
joined to one score, as the mean gap between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from weakseg.cams import arithmetic
from weakseg.evaluation.classifier.imputation import impute
from weakseg.evaluation.classifier.recipe import FaithfulnessRecipe

Network = Callable[[Tensor], Tensor]
NOISE = 0.01  # standard deviation of ROAD's noise, in normalized images


@dataclass(frozen=True)
class Case:
    """A batch of normalized images (B,3,H,W), one class (B,) int64 an image, and the network that is asked for it.

    network: images (B,3,H,W) -> probabilities (B,K), in evaluation mode.
    """

    network: Network
    images: Tensor
    classes: Tensor

    def ask(self, images: Tensor) -> Tensor:
        """Probability (B,) of each image's class when the network sees `images` (B,3,H,W) instead."""
        return self.network(images).gather(1, self.classes[:, None])[:, 0]


def rank_pixels(maps: Tensor) -> Tensor:
    """Place of each pixel of maps (B,H,W) in descending order, 0..HW-1; equal values in reading order."""
    return maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).view(maps.shape)


def drop(before: Tensor, after: Tensor) -> Tensor:
    """max(0, p - p') / p, in [0, 1]; 0 where p is 0."""
    return torch.where(before > 0, (before - after).clamp(min=0) / before.where(before > 0, 1), 0)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B,3,H,W), sigma in pixels, cut at 3 sigma, edges repeated."""
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)  # (3,1,1,2 reach + 1)
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])  # (B,3,H + 2 reach,W)
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])  # (B,3,H,W)


def trace_curve(case: Case, shown: Tensor, hidden: Tensor, order: Tensor, steps: int) -> Tensor:
    """Probability (steps + 1, B) as the pixels turn from `shown` to `hidden` in `order` (B,H,W), in equal parts."""
    total = order[0].numel()
    points = []
    for step in range(steps + 1):
        turned = (order < round(total * step / steps))[:, None]  # (B,1,H,W)
        points.append(case.ask(torch.where(turned, hidden, shown)))
    return torch.stack(points)


def road(case: Case, order: Tensor, fractions: Sequence[float], generator: torch.Generator) -> Tensor:
    """Mean over fractions of p(least relevant removed) - p(most relevant removed): (B,), in [-1, 1]."""
    total, gaps = order[0].numel(), []
    for fraction in fractions:
        count = round(total * fraction)
        points = []
        for kept in (order < total - count, order >= count):  # (B,H,W)
            noise = torch.randn(case.images.shape, generator=generator).to(case.images) * NOISE
            points.append(case.ask(impute(case.images, kept[:, None]) + noise * ~kept[:, None]))
        gaps.append(points[0] - points[1])
    return torch.stack(gaps).mean(0)


@torch.no_grad()
def evaluate(case: Case, maps: Tensor, recipe: FaithfulnessRecipe, generator: torch.Generator) -> dict[str, np.ndarray]:
    """Score one map an image; each value (B,) float64.

    maps (B,h,w) in any unit, min-maxed here; a flat map shows nothing. generator: of ROAD's noise.
    average_drop (lower is better) and increase (0 or 1): the image times its map against the image. deletion (lower)
    and insertion (higher): area under the curve over the share of pixels. road (higher, in [-1, 1]).
    """
    images, steps = case.images, recipe.steps
    large = arithmetic.minmax(arithmetic.resize(maps.to(images), images.shape[-2:]))  # (B,H,W)
    order, empty = rank_pixels(large), torch.zeros_like(images)
    before, after = case.ask(images), case.ask(images * large[:, None])  # (B,)
    deletion = trace_curve(case, images, empty, order, steps)  # (steps + 1, B)
    insertion = trace_curve(case, blur(images, recipe.blur), images, order, steps)
    scores = {
        "average_drop": drop(before, after),
        "increase": (after > before).float(),
        "deletion": torch.trapezoid(deletion, dim=0) / steps,
        "insertion": torch.trapezoid(insertion, dim=0) / steps,
        "road": road(case, order, recipe.fractions, generator),
    }
    return {name: values.cpu().double().numpy() for name, values in scores.items()}
