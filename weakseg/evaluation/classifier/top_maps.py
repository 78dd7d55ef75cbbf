"""The stored map of each image's most probable class: how it looks, and how faithful it is to the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts import activations
from weakseg.artifacts.formats import zips
from weakseg.data import grids, samples
from weakseg.evaluation.classifier.faithfulness import Case, evaluate
from weakseg.evaluation.classifier.recipe import FaithfulnessRecipe
from weakseg.figures.drawing import sheets
from weakseg.figures.drawing.heat import blend
from weakseg.harness import device
from weakseg.networks.classifier import Classifier

PAIRS = 3  # of an image and its map, in a row of the picture


@dataclass(frozen=True)
class TopMap:
    """A map (h,w) and the class it belongs to."""

    scores: np.ndarray
    class_: int


@dataclass(frozen=True)
class TopMaps:
    """Images, their stored maps, and `table`: their predictions, a row an image."""

    images: zips.Images
    cams: activations.Cams
    table: pd.DataFrame
    classes: Sequence[str]

    def read(self, image_id: str) -> TopMap | None:
        """The map of the image's most probable class; None where no map is stored."""
        return pick_top(self.cams.cams(image_id), self.table.loc[image_id], self.classes)

    def draw(self) -> np.ndarray:
        """Each image of the table beside the heat of its map, three pairs a row, with names below."""
        cells: list[np.ndarray | None] = []
        captions: list[str] = []
        for name, row in self.table.iterrows():
            image, top = self.images.image(str(name)), self.read(str(name))
            cells += [image, blend(image, grids.minmax(top.scores[None])[0]) if top else None]
            captions += ["true: " + ", ".join(sorted(row["labels"])), self._name(row, top)]
        starts = range(0, len(cells), 2 * PAIRS)
        rows = [cells[start : start + 2 * PAIRS] for start in starts]
        return sheets.lay_out(rows, captions=[captions[start : start + 2 * PAIRS] for start in starts], size=144)

    def _name(self, row: pd.Series, top: TopMap | None) -> str:
        if top is None:
            return "no class"
        name = self.classes[top.class_]
        return f"{name}: {row[f'p_{name}']:.2f}"


def pick_top(entry: activations.CamEntry, row: pd.Series, classes: Sequence[str]) -> TopMap | None:
    """The stored map of the class that a row of predictions finds most probable; None where no map is stored."""
    if not len(entry.classes):
        return None
    best = int(np.argmax([row[f"p_{classes[k]}"] for k in entry.classes]))
    return TopMap(entry.scores[best], int(entry.classes[best]))


@dataclass(frozen=True)
class Explained:
    """A classifier whose maps are tested, and the side of its images in pixels."""

    classifier: Classifier
    size: int

    def __call__(self, images: Tensor) -> Tensor:
        """Probabilities (B,K) of images (B,3,S,S)."""
        return self.classifier.probabilities(self.classifier(images).float())

    def stream(self, maps: TopMaps, ids: list[str], batch_size: int) -> Iterator[tuple[Tensor, list[str]]]:
        """Yield normalized images (B,3,S,S) on the device, and their ids."""
        normal = self.classifier.mean, self.classifier.std
        dataset = samples.ImageSamples(maps.images, ids, self.size, normal)
        yield from samples.batches(dataset, batch_size, "faithfulness")


def explain(explained: Explained, maps: TopMaps, recipe: FaithfulnessRecipe) -> dict[str, float]:
    """Mean faithfulness of the maps of the table's images, and their number.

    Images without a map are left out; none left gives the number alone.
    """
    explained.classifier.to(device.pick()).eval()
    tops = {name: top for name in map(str, maps.table.index) if (top := maps.read(name))}
    if not tops:
        return {"faithfulness_images": 0}
    parts: dict[str, list[np.ndarray]] = {}
    for number, (pixels, names) in enumerate(explained.stream(maps, list(tops), recipe.batch_size)):
        scores = torch.from_numpy(np.stack([tops[name].scores for name in names])).to(pixels.device)  # (B,h,w)
        classes = torch.tensor([tops[name].class_ for name in names], device=pixels.device)  # (B,)
        generator = torch.Generator().manual_seed(samples.derive_seed(recipe.seed, number))
        for key, values in evaluate(Case(explained, pixels, classes), scores, recipe, generator).items():
            parts.setdefault(key, []).append(values)
    means = {f"faithfulness_{key}": float(np.concatenate(values).mean()) for key, values in parts.items()}
    return {"faithfulness_images": len(tops)} | means
