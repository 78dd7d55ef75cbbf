"""Write an archive of activation maps batch by batch; what a run before computed for an image is taken as it is.

Test images get maps of their predicted classes, as images without a label would; maps of the labels that were missed
go to an archive of their own (`Source.reveal`), which the evaluation of boxes alone reads: localization with the class
given (GT-known) asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts import activations
from weakseg.artifacts.activations import CamEntry
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import UNLABELED
from weakseg.artifacts.sampling import evenly
from weakseg.cams.extraction import Extractor, Moments, Projection
from weakseg.cams.recipe import Recipe
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness import digests, kept, memory
from weakseg.harness.kept import Kept, Record
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen.once import Stored
from weakseg.networks.levels import evaluating, locate, outputs

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Images, the table of labels, the classifier's class names, and how images are read.

    background: classes that get no map. revealed: labels of test images count too.
    """

    images: zips.Images
    frame: pd.DataFrame
    classes: list[str]
    recipe: Recipe
    background: Set[str] = frozenset()
    revealed: bool = False

    def background_indices(self) -> frozenset[int]:
        """Indices of the classes that get no map."""
        return frozenset(self.classes.index(name) for name in self.background)

    def batches(self, ids: list[str], classifier: Classifier) -> Iterator[tuple[Tensor, list[str]]]:
        """Normalized images (B,3,S,S) on the classifier's device, and their ids, in listing order."""
        dataset = samples.ImageSamples(self.images, ids, self.recipe.image_size, (classifier.mean, classifier.std))
        for pixels, names in samples.batches(dataset, self.recipe.batch_size):
            yield pixels.to(locate(classifier), memory_format=torch.channels_last), names

    def reader(self) -> samples.Reader:
        """How its images are shown to the classifier, as what reads stored features asks for them."""
        recipe = self.recipe
        return samples.Reader(
            self.images, self.frame.index.tolist(), recipe.image_size, recipe.batch_size, recipe.precision
        )

    def label(self, image_id: str) -> list[int] | None:
        """Class indices of an image's label; none where it shows no class, or background alone.

        None where they are to be predicted: nobody labeled it, or it is a test image that is not `revealed`. UserError
        names a label the classifier does not know.
        """
        labels, split = self.frame.at[image_id, "labels"], self.frame.at[image_id, "split"]
        if split == UNLABELED or (split == "test" and not self.revealed):
            return None
        unknown = [name for name in labels if name not in self.classes]
        if unknown:
            raise UserError(f"image '{image_id}' has label '{unknown[0]}', which the classifier lacks: retrain it")
        return [self.classes.index(name) for name in labels if name not in self.background]

    def reveal(self, cams: activations.Cams) -> Source:
        """The test images with a label of which `cams` holds no map: their labels count, all other images are gone."""
        source = replace(self, revealed=True)
        tests = self.frame.index[self.frame["split"] == "test"]
        missed = [name for name in tests if set(source.label(name) or ()) - set(cams.cams(name).classes.tolist())]
        return replace(source, frame=self.frame.loc[missed])


@torch.no_grad()
def fit_projection(classifier: Classifier, source: Source, stored: Stored | None = None) -> Projection | None:
    """Principal axes of the stored features over some training images, evenly spread over the sorted ids.

    None where the level has no more channels than are stored. stored: where a frozen network left its features.
    """
    recipe = source.recipe
    ids = list(source.frame.index[source.frame["split"] == "train"]) or list(source.frame.index)
    moments = Moments()
    with evaluating(classifier):
        for images, names in source.batches(evenly(ids, recipe.projection_images), classifier):
            level = [recipe.feature_level]
            use = stored if stored and stored.serves(names) else None
            found = use.outputs(names, False, level) if use else outputs(classifier, images, level)
            ((count, features),) = found.items()
            features = classifier.cells(features, count)
            if features.shape[1] <= recipe.feature_channels:
                return None
            moments.add(features)
    return moments.principal(recipe.feature_channels)


def write(extractor: Extractor, source: Source, items: Kept, out: Path, last: bool = False) -> dict[str, float]:
    """Write one entry an image; those of `items` are taken as they are, new ones are kept there. Returns counts.

    Without any image the archive is empty. `last` as of `kept.complete`.
    """
    ids, size = list(source.frame.index), source.recipe.batch_size
    keys = [digests.of_parts(source.images.read(name), repr(source.label(name)).encode()) for name in ids]

    def compute(places: list[int]) -> Iterator[Record]:
        work = source.batches([ids[place] for place in places], extractor.classifier)
        for images, names in track(work, "activation maps", math.ceil(len(places) / size)):
            known = [source.label(name) for name in names]

            def extract(
                rows: slice, images: Tensor = images, known: list = known, names: list[str] = names
            ) -> list[CamEntry]:
                return extractor(images[rows], known[rows], names[rows])

            parts = memory.in_parts(extract, len(names))
            for name, entry in zip(names, chain.from_iterable(parts), strict=True):
                yield Record({"maps": len(entry.classes)}, (activations.encode(name, entry),))

    maps = 0
    with activations.CamsWriter(out) as writer:
        for name, record in zip(ids, kept.complete(items, keys, compute, size, last), strict=True):
            writer.add_bytes(f"{name}.npz", record.parts[0])
            maps += record.facts["maps"]
    labeled = sum(source.label(name) is not None for name in ids)
    counts = {"images": len(ids), "images_labeled": labeled, "images_predicted": len(ids) - labeled}
    return counts | {"maps_per_image": maps / max(len(ids), 1)}
