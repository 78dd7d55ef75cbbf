"""From an archive of activation values to archives of masks: threshold, refine, ignore what two refiners dispute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from weakseg.artifacts.activations import CamEntry
from weakseg.artifacts.formats.masks import IGNORE, MaskWriter
from weakseg.artifacts.formats.zips import png_bytes
from weakseg.data import grids
from weakseg.harness import digests, kept, resume, workers
from weakseg.harness.kept import Record
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.contracts import Pick, Refine
from weakseg.masks.sources import Sources

if TYPE_CHECKING:
    from pathlib import Path


class Recipe(BaseModel):
    """Where the border of the foreground lies, and which masks are of use."""

    model_config = ConfigDict(frozen=True)

    source: Literal["cams", "distilled"]  # distilled scores are logits and have their threshold at 0
    threshold_scope: Literal["image", "pooled"]  # for source cams: one threshold an image, or one for all
    pooled_images: int  # training images that one for all is picked on, at most, evenly spaced
    least_foreground: float  # share of pixels under which a mask is dropped (ignored whole), in [0, 1]
    most_foreground: float  # share of pixels above which a mask is dropped, in [0, 1]


@dataclass(frozen=True)
class Method:
    """The choices of a run, their options bound; `second` is None where nothing is disputed."""

    pick: Pick
    threshold: float | None  # for all images; None: `pick` gives each map its own
    refine: Refine
    second: Refine | None


@dataclass(frozen=True)
class Refined:
    """An image's mask of class ids, every pixel decided; the same with 255 where it is not to be trusted."""

    whole: np.ndarray
    kept: np.ndarray
    classes: int  # how many the image has
    dropped: bool  # `kept` is 255 everywhere: too little or too much foreground


@dataclass(frozen=True)
class Refinement:
    """Refines one image; what every worker needs."""

    sources: Sources
    recipe: Recipe
    method: Method

    def logits(self, entry: CamEntry) -> np.ndarray:
        """Logits (K,h,w) of the entry's maps."""
        if self.recipe.source == "distilled":
            return entry.scores
        maps, given = grids.minmax(entry.scores), self.method.threshold
        thresholds = [self.method.pick([one]) if given is None else given for one in maps]
        return pseudomasks.scale_to_logits(maps, np.array(thresholds))

    def masks(self, image_id: str, entry: CamEntry) -> tuple[np.ndarray, np.ndarray]:
        """Two masks (H,W) of map numbers: every pixel decided; 255 where a refiner doubts or the two disagree."""
        image, segments = self.sources.images.image(image_id), self.sources.segments.segments(image_id)
        inputs = self.logits(entry), image, segments, entry.features
        first = self.method.refine(*inputs, threshold=0.0, decide_all=False)
        whole = first
        if (first == IGNORE).any():
            whole = self.method.refine(*inputs, threshold=0.0, decide_all=True)
        if self.method.second is None:
            return whole, first
        second = self.method.second(*inputs, threshold=0.0, decide_all=False)
        return whole, grids.ignore_disputed(first, second)

    def __call__(self, image_id: str) -> Refined:
        """The image's masks of class ids."""
        entry = self.sources.cams.cams(image_id)
        whole, kept = (pseudomasks.to_class_ids(mask, entry.classes) for mask in self.masks(image_id, entry))
        usable = pseudomasks.is_usable(whole, self.recipe.least_foreground, self.recipe.most_foreground)
        dropped = len(entry.classes) > 0 and not usable
        return Refined(whole, np.full_like(kept, IGNORE) if dropped else kept, len(entry.classes), dropped)

    def record(self, image_id: str) -> Record:
        """The image's two masks as PNG, and what it adds to a tally."""
        found = self(image_id)
        counts = pseudomasks.count(found.whole, found.kept, found.classes, found.dropped)
        return Record(counts, (png_bytes(found.whole), png_bytes(found.kept)))

    def settings(self) -> list[Any]:
        """What of the masks no image decides."""
        return [self.recipe.model_dump(), asdict(self.method)]

    def key(self, image_id: str) -> bytes:
        """Digest of all that an image's masks are made from."""
        archives = self.sources.images, self.sources.segments, self.sources.cams
        return digests.of_parts(*(archive.read(image_id) for archive in archives))


def write(refinement: Refinement, ids: Sequence[str], refined: Path, out: Path) -> dict[str, float]:
    """Write every image's whole mask into `refined` and the one to train on into `out`; counts and mean shares.

    Masks that a run before made from the same bytes, parameters and code are taken as they are. Of processes that work
    together all but the first end here.
    """
    tally = pseudomasks.Tally()

    def compute(places: list[int]) -> Iterator[Record]:
        return track(workers.ordered(refinement.record, [ids[place] for place in places]), "masks", len(places))

    with (
        resume.kept(__file__, refinement.settings()) as items,
        MaskWriter(refined) as whole,
        MaskWriter(out) as trusted,
    ):
        records = kept.complete(items, [refinement.key(image_id) for image_id in ids], compute, last=True)
        for image_id, record in zip(ids, records, strict=True):
            tally.add(record.facts)
            for writer, content in zip((whole, trusted), record.parts, strict=True):
                writer.add_bytes(f"{image_id}.png", content)
    return tally.result()
