"""The effective receptive field of one network over images: numbers, averaged fields, a row an image, a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from weakseg.artifacts import zips
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field.field import (
    SHARES,
    MeanField,
    area_ratios,
    central_gradient,
    class_saliency,
    shape,
    smallest_areas,
    square_sides,
    unit_offset,
)
from weakseg.figures import pictures
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier


@dataclass(frozen=True)
class Recipe:
    """Sides in pixels and numbers of images of the two measures, the share of class saliency, the batch size."""

    central_size: int
    central_images: int
    saliency_size: int
    saliency_images: int
    saliency_share: float
    batch_size: int


@dataclass
class Fields:
    """Averaged fields (H, W) of one network, the cells (h, w) of its last features in the central unit's images, and
    the fewest pixels that hold the share of each image's saliency."""

    central: np.ndarray
    saliency: np.ndarray
    cells: tuple[int, int]
    pixels: dict[str, int] = field(default_factory=dict)


def evenly(ids: list[str], count: int) -> list[str]:
    """At most `count` of the ids, evenly spread over the list."""
    if not ids or count < 1:
        raise UserError("measure_erf has no image to measure on: labels.csv needs images, and the counts be positive")
    return [ids[place] for place in np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int))]


def batches(
    network: Classifier, images: zips.Images, ids: list[str], size: int, batch_size: int, description: str
) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """Normalized images (B, 3, size, size) on the device, and their ids."""
    dataset = samples.ImageSamples(images, ids, size, (network.mean, network.std))
    total = -(-len(ids) // batch_size)
    for pixels, names in track(samples.batches(dataset, batch_size), description, total):
        yield pixels.to(device.pick()), names


def measure(network: Classifier, images: zips.Images, ids: list[str], recipe: Recipe, name: str) -> Fields:
    """Both measures of a network in evaluation mode; images are drawn evenly from `ids`. UserError: bad share."""
    if not 0 < recipe.saliency_share < 1:
        raise UserError(f"measure_erf.saliency_share is {recipe.saliency_share}: give a share in (0, 1)")
    network.requires_grad_(False).to(device.pick())
    central, saliency = MeanField(), MeanField()
    pixels: dict[str, int] = {}
    chosen = evenly(ids, recipe.central_images)
    for batch, _ in batches(network, images, chosen, recipe.central_size, recipe.batch_size, f"{name}: central unit"):
        central.add(central_gradient(network.features, batch).cpu().numpy())
    with torch.no_grad():
        height, width = network.features(batch[:1]).shape[-2:]
    chosen = evenly(ids, recipe.saliency_images)
    for batch, names in batches(network, images, chosen, recipe.saliency_size, recipe.batch_size, f"{name}: saliency"):
        maps = class_saliency(network, batch).cpu().numpy()
        saliency.add(maps)
        counts = smallest_areas(maps, recipe.saliency_share).tolist()
        pixels.update(zip(names, counts, strict=True))
    return Fields(central.result(), saliency.result(), (height, width), pixels)


def numbers(fields: Fields) -> dict[str, float]:
    """Area ratios, sides, shape and offset of the central unit's field; pixels, share and side of class saliency."""
    found: dict[str, float] = {}
    logarithm = np.log10(fields.central + 1)
    for share, side, plain, log in zip(
        SHARES,
        square_sides(fields.central),
        area_ratios(fields.central),
        area_ratios(logarithm),
        strict=True,
    ):
        name = f"{round(100 * share)}"
        found |= {f"central_side_{name}": side, f"central_area_{name}": plain, f"central_log_area_{name}": log}
    down, right = unit_offset(fields.central, fields.cells)
    found |= shape(fields.central) | {"central_offset_y": down, "central_offset_x": right}
    counts = np.array(list(fields.pixels.values()), float)
    sides = np.sqrt(counts)
    values = {"pixels": counts, "share": counts / fields.saliency.size, "side": sides}
    for name, value in values.items():
        found[f"saliency_{name}"] = float(value.mean())
        found[f"saliency_{name}_error"] = float(value.std(ddof=1) / np.sqrt(len(value))) if len(value) > 1 else 0.0
    return found | {"saliency_pixels_max": float(counts.max()), "images": len(counts)}


def rows(fields: Fields) -> list[dict[str, object]]:
    """One row an image: pixels, share of the image and side length of its class saliency."""
    size = fields.saliency.size
    return [
        {
            "image_id": name,
            "saliency_pixels": count,
            "saliency_share": count / size,
            "saliency_side": float(np.sqrt(count)),
        }
        for name, count in sorted(fields.pixels.items())
    ]


def archive(**networks: Fields) -> bytes:
    """The averaged fields as float32 arrays `central_<network>` and `saliency_<network>` of an npz file."""
    arrays = {
        f"{kind}_{name}": getattr(fields, kind).astype(np.float32)
        for name, fields in networks.items()
        for kind in ("central", "saliency")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def drawn(values: np.ndarray, side: int = 256) -> np.ndarray:
    """Heat of a field (H, W) on a logarithmic scale over four decades below its maximum, (side, side, 3) uint8."""
    top = values.max()
    level = np.log10(np.maximum(values / top, 1e-4)) / 4 + 1 if top > 0 else np.zeros_like(values)
    return pictures.heat(np.zeros((side, side, 3), np.uint8), level)


def picture(**networks: Fields) -> np.ndarray:
    """Averaged fields, one network a row; on the central unit's the squares that hold 20, 30, 50 and 99 %."""
    cells = []
    for fields in networks.values():
        height, width = fields.central.shape
        half = np.array(square_sides(fields.central))[:, None] / 2
        low = np.array([[width // 2 + 0.5, height // 2 + 0.5]]) - half
        squares = np.concatenate([low, low + 2 * half], axis=1) * (256 / np.array([width, height, width, height]))
        cells.append([pictures.boxes(drawn(fields.central), squares, (255, 255, 255), 1), drawn(fields.saliency)])
    return pictures.grid(cells, titles=["central unit", "class saliency"], row_titles=list(networks), size=256)


def cost(network: Classifier, size: int) -> dict[str, int]:
    """Parameters, and floating-point operations of one image of side `size`; a multiply-add counts two."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 3, size, size, device=device.pick())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return {"parameters": sum(weight.numel() for weight in network.parameters()), "flops": counter.get_total_flops()}
