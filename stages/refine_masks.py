"""Turn activation values into pseudo-masks: threshold, refine in image space, ignore what two refiners dispute.

reads   cams.zip or distilled.zip, images.zip, labels.csv, superpixels.zip, classifier (threshold consistency alone)
writes  refined.zip (every pixel decided), pseudomasks.zip (255 where the rules ignore)
scores  shares of foreground and of ignored pixels; empty, full, dropped masks; images without class
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from weakseg.artifacts import activations, tables, zips
from weakseg.artifacts.sampling import evenly
from weakseg.data import grids
from weakseg.harness import workers
from weakseg.harness.params import StageParams
from weakseg.harness.progress import track
from weakseg.harness.stage import run
from weakseg.masks import pseudomasks

MOST_POOLED = 2000
Sources = tuple[zips.Images, zips.Segments, activations.Cams]


class Params(StageParams):
    """Section refine_masks."""

    choices: ClassVar[dict[str, tuple[str, str]]] = {
        "refiner": ("refiners", "refine"),
        "second": ("refiners", "refine"),
        "threshold_method": ("thresholds", "pick"),
    }
    supplied: ClassVar[tuple[str, ...]] = ("threshold", "decide_all", "confidence")

    backbone: str  # whose activation values; one of `backbones`
    source: Literal["cams", "distilled"]  # distilled scores are logits and have their threshold at 0
    threshold_method: str  # for source cams: otsu, area, fixed or consistency
    threshold_scope: Literal["image", "pooled"]  # for source cams: one threshold an image, or one for all
    refiner: str  # decides every pixel
    second: str  # pixels where it disagrees are ignored; the same name as `refiner`: none are
    smallest: float  # share of foreground under which a mask is dropped (ignored whole), in [0, 1]
    largest: float  # share of foreground above which a mask is dropped, in [0, 1]

    @model_validator(mode="after")
    def consistency_is_pooled(self) -> Params:
        """Classifier consistency is a mean over images."""
        if (self.threshold_method, self.threshold_scope) == ("consistency", "image"):
            raise ValueError("threshold_method consistency needs threshold_scope pooled")
        return self


@dataclass(frozen=True)
class Refinement:
    """What every worker needs."""

    params: Params
    sources: Sources
    threshold: float | None

    def scores(self, entry: activations.CamEntry) -> np.ndarray:
        """Logits of the entry's maps."""
        if self.params.source == "distilled":
            return entry.scores
        maps = grids.minmax(entry.scores)
        pick, options = self.params.choice("threshold_method")
        thresholds = [pick([one], **options) if self.threshold is None else self.threshold for one in maps]
        return pseudomasks.scale_to_logits(maps, np.array(thresholds))

    def __call__(self, image_id: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Masks before and after the second refiner, and the number of classes."""
        images, segments, cams = self.sources
        entry = cams.cams(image_id)
        inputs = self.scores(entry), images.image(image_id), segments.segments(image_id), entry.features
        refine, options = self.params.choice("refiner")
        first = refine(*inputs, threshold=0.0, decide_all=False, **options)
        undecided = (first == zips.IGNORE).any()
        whole = refine(*inputs, threshold=0.0, decide_all=True, **options) if undecided else first
        refine, options = self.params.choice("second")
        again = self.params.second != self.params.refiner
        second = refine(*inputs, threshold=0.0, decide_all=False, **options) if again else first
        final = grids.ignore_disputed(first, second)
        return *(pseudomasks.to_class_ids(mask, entry.classes) for mask in (whole, final)), len(entry.classes)


def pooled_threshold(params: Params, sources: Sources, classifier: Path, ids: list[str]) -> float | None:
    """One threshold for all images, from min-max maps of training images; None where it is not wanted."""
    if params.source == "distilled" or params.threshold_scope == "image":
        return None
    maps, owners = [], []
    for image_id in track(evenly(ids, MOST_POOLED), "threshold"):
        entry = sources[2].cams(image_id)
        maps += list(grids.minmax(entry.scores))
        owners += [(image_id, int(one)) for one in entry.classes]
    pick, options = params.choice("threshold_method")
    if params.threshold_method == "consistency":
        from weakseg.masks import partial_view

        options = options | {"confidence": partial_view.confidence(classifier, sources[0], owners)}
    return pick(maps, **options)


def main(
    params: Params,
    *,
    classifier: Path,
    cams: Path,
    images: Path,
    labels: Path,
    superpixels: Path,
    refined: Path,
    out: Path,
) -> dict[str, float]:
    frame = tables.load_labels(labels)
    sources = zips.Images(images), zips.Segments(superpixels), activations.Cams(cams)
    threshold = pooled_threshold(params, sources, classifier, list(frame.index[frame["split"] == "train"]))
    work = workers.ordered(Refinement(params, sources, threshold), list(frame.index))
    tally = pseudomasks.Tally()
    with zips.mask_writer(refined) as decided, zips.mask_writer(out) as writer:
        for image_id, (whole, final, classes) in zip(frame.index, track(work, "masks", len(frame)), strict=True):
            dropped = classes > 0 and not pseudomasks.is_usable(whole, params.smallest, params.largest)
            kept = np.full_like(final, zips.IGNORE) if dropped else final
            tally.add(whole, kept, classes, dropped)
            decided.add(image_id, whole)
            writer.add(image_id, kept)
    return tally.result()


if __name__ == "__main__":
    run(main)
