"""Write an archive of activation maps batch by batch; a run that was killed goes on where it stopped.

Test images get maps of their predicted classes, as images without a label would; maps of the labels that were missed
go to an archive of their own (`Source.reveal`), which the evaluation of boxes alone reads: localization with the class
given (GT-known) asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts import activations
from weakseg.artifacts.formats import zips
from weakseg.artifacts.sampling import evenly
from weakseg.cams.extraction import Extractor, Moments, Projection
from weakseg.cams.recipe import Recipe
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import evaluating, locate, outputs

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Images, the table of labels, the classifier's class names, and how images are read.

    revealed: labels of test images count too.
    """

    images: zips.Images
    frame: pd.DataFrame
    classes: list[str]
    recipe: Recipe
    revealed: bool = False

    def batches(self, ids: list[str], classifier: Classifier) -> Iterator[tuple[Tensor, list[str]]]:
        """Normalized images (B,3,S,S) on the classifier's device, and their ids, in listing order."""
        dataset = samples.ImageSamples(self.images, ids, self.recipe.image_size, (classifier.mean, classifier.std))
        for pixels, names in samples.batches(dataset, self.recipe.batch_size):
            yield pixels.to(locate(classifier), memory_format=torch.channels_last), names

    def label(self, image_id: str) -> list[int] | None:
        """Class indices of an image's label; None where it has none, and of a test image that is not `revealed`.

        UserError names a label the classifier does not know.
        """
        labels = self.frame.at[image_id, "labels"]
        if not labels or (self.frame.at[image_id, "split"] == "test" and not self.revealed):
            return None
        unknown = [name for name in labels if name not in self.classes]
        if unknown:
            raise UserError(f"image '{image_id}' has label '{unknown[0]}', which the classifier lacks: retrain it")
        return [self.classes.index(name) for name in labels]

    def reveal(self, cams: activations.Cams) -> Source:
        """The test images with a label of which `cams` holds no map: their labels count, all other images are gone."""
        source = replace(self, revealed=True)
        tests = self.frame.index[self.frame["split"] == "test"]
        missed = [name for name in tests if set(source.label(name) or ()) - set(cams.cams(name).classes.tolist())]
        return replace(source, frame=self.frame.loc[missed])


@torch.no_grad()
def fit_projection(classifier: Classifier, source: Source) -> Projection | None:
    """Principal axes of the stored features over some training images, evenly spread over the sorted ids.

    None where the level has no more channels than are stored.
    """
    recipe = source.recipe
    ids = list(source.frame.index[source.frame["split"] == "train"]) or list(source.frame.index)
    moments = Moments()
    with evaluating(classifier):
        for images, _ in source.batches(evenly(ids, recipe.projection_images), classifier):
            (features,) = outputs(classifier, images, [recipe.feature_level]).values()
            if features.shape[1] <= recipe.feature_channels:
                return None
            moments.add(features)
    return moments.principal(recipe.feature_channels)


def write(extractor: Extractor, source: Source, folder: Path, out: Path) -> dict[str, float]:
    """Write one entry an image; parts are kept in `folder` until the archive is whole. Returns counts.

    Without any image the archive is empty.
    """
    ids = list(source.frame.index)
    parts = [ids[start : start + source.recipe.batch_size] for start in range(0, len(ids), source.recipe.batch_size)]
    shards = [folder / f"{number:06d}.zip" for number in range(len(parts))]
    missing = [number for number, shard in enumerate(shards) if not shard.exists()]
    wanted = [image_id for number in missing for image_id in parts[number]]
    work = zip(missing, source.batches(wanted, extractor.classifier), strict=True)
    for number, (images, names) in track(work, "activation maps", len(missing)):
        with activations.CamsWriter(shards[number]) as writer:
            for name, entry in zip(names, extractor(images, [source.label(name) for name in names]), strict=True):
                writer.add(name, entry)
    return join(shards, source, out)


def join(shards: list[Path], source: Source, out: Path) -> dict[str, float]:
    """Join the parts into one archive and count what it holds."""
    maps, labeled, total = 0, 0, len(source.frame)
    with activations.CamsWriter(out) as writer:
        for shard in shards:
            part = activations.Cams(shard)
            for name in part.names():
                writer.add_bytes(f"{name}.npz", part.read(name))
                maps += len(part.cams(name).classes)
                labeled += source.label(name) is not None
    counts = {"images": total, "images_labeled": labeled, "images_predicted": total - labeled}
    return counts | {"maps_per_image": maps / max(total, 1)}
