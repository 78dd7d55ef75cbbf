"""The effective receptive field of one network over images, and what the network costs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from weakseg.artifacts.formats import zips
from weakseg.artifacts.sampling import evenly
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field.field import (
    MeanField,
    central_gradient,
    class_saliency,
    smallest_areas,
)  # fmt: skip
from weakseg.evaluation.receptive_field.recipe import ErfRecipe
from weakseg.harness import device
from weakseg.networks.classifier import Classifier


@dataclass
class Fields:
    """Averaged fields (H, W) of one network, the cells (h, w) of its last features in the central unit's images, and
    the fewest pixels that hold the share of each image's saliency."""

    central: np.ndarray
    saliency: np.ndarray
    cells: tuple[int, int]
    pixels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageReader:
    """Images on their way to one network; `title` says in the progress line what for."""

    network: Classifier
    images: zips.Images
    title: str

    def stream(self, ids: list[str], size: int, batch_size: int) -> Iterator[tuple[torch.Tensor, list[str]]]:
        """Yield normalized images (B, 3, size, size) on the device, and their ids."""
        dataset = samples.ImageSamples(self.images, ids, size, (self.network.mean, self.network.std))
        yield from samples.batches(dataset, batch_size, self.title)


def measure(network: Classifier, images: zips.Images, ids: list[str], recipe: ErfRecipe, name: str) -> Fields:
    """Both measures of a network in evaluation mode; images are drawn evenly from `ids`. UserError without any."""
    if not ids:
        raise UserError("there is no image to measure on: labels.csv needs images")
    network.requires_grad_(False).to(device.pick())
    central, cells = measure_central(ImageReader(network, images, f"{name}: central unit"), ids, recipe)
    saliency, pixels = measure_saliency(ImageReader(network, images, f"{name}: saliency"), ids, recipe)
    return Fields(central, saliency, cells, pixels)


def measure_central(reader: ImageReader, ids: list[str], recipe: ErfRecipe) -> tuple[np.ndarray, tuple[int, int]]:
    """Averaged field (H, W) of the central unit, and the cells (h, w) that the unit is one of."""
    mean, cells = MeanField(), (0, 0)

    def look(images: torch.Tensor) -> torch.Tensor:
        return reader.network.cells(reader.network.features(images), reader.network.levels)

    for batch, _ in reader.stream(evenly(ids, recipe.central_images), recipe.central_size, recipe.batch_size):
        mean.add(central_gradient(look, batch).cpu().numpy())  # (B, H, W)
        if cells == (0, 0):
            with torch.no_grad():
                height, width = reader.network.features(batch[:1]).shape[-2:]
            cells = (height, width)
    return mean.result(), cells


def measure_saliency(reader: ImageReader, ids: list[str], recipe: ErfRecipe) -> tuple[np.ndarray, dict[str, int]]:
    """Averaged class saliency (H, W), and the fewest pixels that hold its share in each image."""
    mean = MeanField()
    pixels: dict[str, int] = {}
    for batch, names in reader.stream(evenly(ids, recipe.saliency_images), recipe.saliency_size, recipe.batch_size):
        maps = class_saliency(reader.network, batch).cpu().numpy()  # (B, H, W)
        mean.add(maps)
        pixels.update(zip(names, smallest_areas(maps, recipe.saliency_share).tolist(), strict=True))
    return mean.result(), pixels


def pack(**networks: Fields) -> bytes:
    """The averaged fields as float32 arrays `central_<network>` and `saliency_<network>` of an npz file."""
    arrays: dict[str, Any] = {}
    for name, fields in networks.items():
        arrays[f"central_{name}"] = fields.central.astype(np.float32)
        arrays[f"saliency_{name}"] = fields.saliency.astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def count_cost(network: Classifier, size: int) -> dict[str, int]:
    """Parameters, and floating-point operations of one image of side `size`; a multiply-add counts two."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 3, size, size, device=device.pick())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return {"parameters": sum(weight.numel() for weight in network.parameters()), "flops": counter.get_total_flops()}
