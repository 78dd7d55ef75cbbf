"""Train a segmenter on masks, pseudo or true; then, on pseudo-masks, predict, refine and train again.

reads   images, labels, masks, superpixels, a classifier
writes  a folder with the segmenter of each round; the last one is final
scores  images used and left out, agreement with the masks, agreement between rounds
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import model_validator

from weakseg.harness.choices import Choice
from weakseg.harness.params import Of, StageParams
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.training.recipes.segmenter import Recipe

HARD_SEEDS = {"certain", "seed"}  # options of the refiners that have some


class Params(StageParams, Recipe):
    background_classes: list[str]  # labels that mean nothing to segment
    segmenter: Annotated[Choice, Of("segmenters", "build", ("classifier",))]
    refiner: Annotated[Choice, Of("refiners", "refine", ("threshold", "decide_all"))]  # between rounds

    @model_validator(mode="after")
    def hard_seeds_are_log_odds(self) -> Params:
        """A difference of probabilities never reaches a seed that is given as logits or as a sure probability."""
        if self.soft_outputs == "probabilities" and HARD_SEEDS & set(self.refiner.options):
            raise ValueError(f"refiner {self.refiner.name} has hard seeds: use soft_outputs log_odds with it")
        return self


def main(
    params: Params, *, supervision: str, images: Path, labels: Path, masks: Path, superpixels: Path,
    classifier: Path, out: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.artifacts.formats.masks import Masks
    from weakseg.harness import digests, processes, resume
    from weakseg.training.self_training import segmenter_rounds
    from weakseg.training.self_training.rounds_plan import Plan, Sources

    inputs = [images, labels, masks, superpixels, classifier]
    frame = load_labels(labels)
    sources = Sources(zips.Images(images), zips.Segments(superpixels), Masks(masks), frame, classifier)
    plan = Plan(params, params.segmenter, params.refiner, supervision, params.background_classes)
    with resume.folder(__file__, [params.what_resumes(), supervision, digests.machine()], inputs, keep=True) as folder:
        scores, rows = segmenter_rounds.train(plan, sources, folder)
        processes.finish()
        segmenter_rounds.publish(folder, int(scores["rounds"]), out)
    return Outcome(scores=scores, curves=rows)


if __name__ == "__main__":
    run(main, shared=Shared(["out"]))
