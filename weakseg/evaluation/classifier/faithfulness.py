"""How well a map explains a classifier, measured without masks: hide or show pixels in the map's order and look at the
class's probability.

Average drop, increase in confidence: Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++" (2018),
arXiv 1710.11063. Insertion, deletion: Petsiuk, Das, Saenko, "RISE: Randomized input sampling for explanation of
black-box models" (2018), arXiv 1806.07421. ROAD: Rong, Leemann, Borisov, Kasneci, Kasneci, "A consistent and efficient
evaluation strategy for attribution methods" (2022), arXiv 2202.00449.
Differs from the papers: hidden pixels take the data's mean color, zero in normalized images; ROAD's two orders are
joined to one score, as the mean gap between them. ROAD's noisy linear imputation is solved by conjugate gradients from
a coarse guess, a batch at once; the noise is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from weakseg.cams import arithmetic

Network = Callable[[Tensor], Tensor]
NOISE = 0.01  # standard deviation of ROAD's noise, in normalized images


def probability(network: Network, images: Tensor, classes: Tensor, target: str) -> Tensor:
    """Probability (B,) of one class (B,) an image: softmax for target `single`, sigmoid for `multi`."""
    logits = network(images).float()
    values = logits.softmax(1) if target == "single" else logits.sigmoid()
    return values.gather(1, classes[:, None])[:, 0]


def ranks(maps: Tensor) -> Tensor:
    """Place of each pixel of maps (B,H,W) in descending order, 0..HW-1; equal values in reading order."""
    return maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1).view(maps.shape)


def drop(before: Tensor, after: Tensor) -> Tensor:
    """max(0, p - p') / p, in [0, 1]; 0 where p is 0."""
    return torch.where(before > 0, (before - after).clamp(min=0) / before.where(before > 0, 1), 0)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B,3,H,W), sigma in pixels, cut at 3 sigma, edges repeated."""
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])


def curve(
    network: Network, shown: Tensor, hidden: Tensor, order: Tensor, classes: Tensor, steps: int, target: str
) -> Tensor:
    """Probability (steps + 1, B) as the pixels turn from `shown` to `hidden` in `order` (B,H,W), in equal parts."""
    total = order[0].numel()
    points = []
    for step in range(steps + 1):
        turned = (order < round(total * step / steps))[:, None]
        points.append(probability(network, torch.where(turned, hidden, shown), classes, target))
    return torch.stack(points)


def road(
    network: Network,
    images: Tensor,
    order: Tensor,
    classes: Tensor,
    fractions: Sequence[float],
    generator: torch.Generator,
    target: str,
) -> Tensor:
    """Mean over fractions of p(least relevant removed) - p(most relevant removed): (B,), in [-1, 1]."""
    total, gaps = order[0].numel(), []
    for fraction in fractions:
        count = round(total * fraction)
        points = []
        for kept in (order < total - count, order >= count):
            noise = torch.randn(images.shape, generator=generator).to(images) * NOISE
            filled = impute(images, kept[:, None]) + noise * ~kept[:, None]
            points.append(probability(network, filled, classes, target))
        gaps.append(points[0] - points[1])
    return torch.stack(gaps).mean(0)


@torch.no_grad()
def evaluate(
    network: Network,
    images: Tensor,
    maps: Tensor,
    classes: Tensor,
    *,
    steps: int,
    blur: float,
    fractions: Sequence[float],
    generator: torch.Generator,
    target: str,
) -> dict[str, np.ndarray]:
    """Score one map an image against a classifier in evaluation mode; each value (B,) float64.

    network: normalized images (B,3,H,W) -> logits (B,K). maps (B,h,w) in any unit, min-maxed here; a flat map shows
    nothing. classes (B,) int64. steps: parts of the insertion and deletion curves; blur: sigma in pixels of the image
    insertion starts from; fractions: shares of pixels ROAD removes, in (0, 1).
    average_drop (lower is better) and increase (0 or 1): the image times its map against the image. deletion (lower)
    and insertion (higher): area under the curve over the share of pixels. road (higher, in [-1, 1]).
    """
    large = arithmetic.minmax(arithmetic.resize(maps.to(images), images.shape[-2:]))
    order, empty = ranks(large), torch.zeros_like(images)
    before = probability(network, images, classes, target)
    after = probability(network, images * large[:, None], classes, target)
    deletion = curve(network, images, empty, order, classes, steps, target)
    insertion = curve(network, blurred(images, blur), images, order, classes, steps, target)
    found = {
        "average_drop": drop(before, after),
        "increase": (after > before).float(),
        "deletion": torch.trapezoid(deletion, dim=0) / steps,
        "insertion": torch.trapezoid(insertion, dim=0) / steps,
        "road": road(network, images, order, classes, fractions, generator, target),
    }
    return {name: values.double().cpu().numpy() for name, values in found.items()}


TOLERANCE = 1e-3  # of the linear system, relative to its right side; below the noise that is added
ROUNDS = 400


def neighbor_kernel(images: Tensor) -> Tensor:
    """(3,1,3,3) weights of a pixel's neighbors: 1/6 beside, above and below, 1/12 on the diagonals."""
    rows = [[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]]
    return images.new_tensor(rows).expand(images.shape[1], 1, 3, 3)


def coarse_fill(images: Tensor, kept: Tensor) -> Tensor:
    """First guess at the pixels not kept (B,1,H,W): means of the kept ones in ever larger blocks."""
    if kept.all() or min(images.shape[-2:]) == 1:
        mean = (images * kept).sum((2, 3), keepdim=True) / kept.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(kept, images, mean)
    count = functional.avg_pool2d(kept.to(images), 2, ceil_mode=True)
    means = functional.avg_pool2d(images * kept, 2, ceil_mode=True) / count.where(count > 0, 1)
    coarse = coarse_fill(means, count > 0)
    return torch.where(kept, images, arithmetic.resize(coarse, images.shape[-2:]))


def impute(images: Tensor, kept: Tensor) -> Tensor:
    """Replace the pixels not kept (B,1,H,W) of images (B,3,H,W) by the weighted mean of their eight neighbors.

    ROAD's sparse linear system without its noise, for a batch at once by conjugate gradients; an image that has
    converged stands still, so that none depends on its batch mates. At least one pixel of each image must be kept.
    """
    kernel, unknown = neighbor_kernel(images), ~kept
    degree = functional.conv2d(torch.ones_like(images), kernel, padding=1, groups=images.shape[1])

    def residual_of(values: Tensor) -> Tensor:
        spread = functional.conv2d(values, kernel, padding=1, groups=images.shape[1])
        return (spread - degree * values) * unknown

    filled = coarse_fill(images, kept)
    residual = residual_of(filled)
    size = residual_of(images * kept).square().sum((1, 2, 3), keepdim=True)
    direction, power = residual, residual.square().sum((1, 2, 3), keepdim=True)
    for _ in range(ROUNDS):
        active = power > TOLERANCE**2 * size
        if not active.any():
            break
        image = -residual_of(direction)
        along = (direction * image).sum((1, 2, 3), keepdim=True)
        step = torch.where(active, power / along.where(active, 1), 0)
        filled = filled + step * direction
        residual = residual - step * image
        fresh = residual.square().sum((1, 2, 3), keepdim=True)
        direction = residual + fresh / power.where(active, 1) * direction
        power = torch.where(active, fresh, power)
    return filled
