"""Turn activation values into pseudo-masks: threshold, refine in image space, ignore what two refiners dispute.

reads   cams.zip or distilled.zip, images.zip, labels.csv, superpixels.zip, classifier (threshold consistency alone)
writes  refined.zip (every pixel decided), pseudomasks.zip (255 where the rules ignore)
scores  shares of foreground and of ignored pixels; empty, full, dropped masks; images without class
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import model_validator

from weakseg.artifacts import activations, tables, zips
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.masks import refinement
from weakseg.masks.refinement import Method, Recipe, Refinement
from weakseg.masks.sources import Sources


class Params(StageParams, Recipe):
    """Section refine_masks."""

    choices: ClassVar[dict[str, tuple[str, str]]] = {
        "refiner": ("refiners", "refine"),
        "second": ("refiners", "refine"),
        "threshold_method": ("thresholds", "pick"),
    }
    supplied: ClassVar[tuple[str, ...]] = ("threshold", "decide_all", "confidence")

    backbone: str  # whose activation values; one of `backbones`
    threshold_method: str  # for source cams: otsu, area, fixed or consistency
    refiner: str  # decides every pixel
    second: str  # pixels where it disagrees are ignored; the same name as `refiner`: none are

    @model_validator(mode="after")
    def the_classifier_is_asked_about_many_images(self) -> Params:
        """A threshold that asks the classifier is a mean over images."""
        if self.threshold_scope == "image" and refinement.asks_classifier(self.choice("threshold_method")[0]):
            raise ValueError(f"threshold_method {self.threshold_method} needs threshold_scope pooled")
        return self


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
    names = ("threshold_method", "refiner", "second")
    pick, refine, second = (partial(function, **options) for function, options in map(params.choice, names))
    frame = tables.load_labels(labels)
    sources = Sources(zips.Images(images), zips.Segments(superpixels), activations.Cams(cams))
    trained = list(frame.index[frame["split"] == "train"])
    threshold = refinement.pool_threshold(pick, params, sources, classifier, trained)
    method = Method(pick, threshold, refine, None if params.second == params.refiner else second)
    return refinement.write(Refinement(sources, params, method), list(frame.index), refined, out)


if __name__ == "__main__":
    run(main)
