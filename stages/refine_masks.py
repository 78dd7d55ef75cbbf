"""Turn activation values into pseudo-masks: threshold, refine in image space, ignore what two refiners dispute.

reads   cams or distilled, images, labels.csv, superpixels, classifier (threshold consistency alone)
writes  refined (every pixel decided), pseudomasks (255 where the rules ignore), how superpixels vote
scores  shares of foreground and of ignored pixels; empty, full, dropped masks; images without class
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from weakseg.artifacts import activations
from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.formats.labels import load_labels
from weakseg.artifacts.sampling import evenly
from weakseg.harness.choices import Choice
from weakseg.harness.params import Of, StageParams
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.masks import pictures as sheets
from weakseg.masks import pooled_threshold, refinement
from weakseg.masks.refinement import Method, Recipe, Refinement
from weakseg.masks.sources import Sources

Refiner = Annotated[Choice, Of("refiners", "refine", ("threshold", "decide_all"))]


class Params(StageParams, Recipe):
    threshold_method: Annotated[Choice, Of("thresholds", "pick", ("confidence",))]  # for source cams
    refiner: Refiner  # decides every pixel
    second: Refiner  # pixels where it disagrees are ignored; the same name as `refiner`: none are
    pictures: int = Field(ge=0)  # training images whose superpixels are shown

    @model_validator(mode="after")
    def the_classifier_is_asked_about_many_images(self) -> Params:
        """A threshold that asks the classifier is a mean over images."""
        if self.threshold_scope == "image" and pooled_threshold.asks_classifier(self.threshold_method.function):
            raise ValueError(f"threshold_method {self.threshold_method.name} needs threshold_scope pooled")
        return self


def main(
    params: Params, *, classifier: Path, cams: Path, images: Path, labels: Path, superpixels: Path,
    refined: Path, out: Path, pictures: Path,
) -> Outcome:  # fmt: skip
    frame = load_labels(labels)
    sources = Sources(zips.Images(images), zips.Segments(superpixels), activations.Cams(cams))
    trained = list(frame.index[frame["split"] == "train"])
    threshold = pooled_threshold.pool(params.threshold_method, params, sources, classifier, trained)
    second = None if params.second == params.refiner else params.second
    work = Refinement(sources, params, Method(params.threshold_method, threshold, params.refiner, second))
    scores = refinement.write(work, list(frame.index), refined, out)
    zips.save_png(pictures, sheets.draw_votes(work, masks.Masks(out), evenly(trained, params.pictures)))
    return Outcome(scores=scores)


if __name__ == "__main__":
    run(main, torch=False, shared=Shared(["refined", "out", "pictures"], devices=False))
