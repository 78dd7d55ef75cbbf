"""Score the masks of every step of the chain, from activation map to segmenter, on images with true masks.

reads   images, labels, true masks, head boxes, cams, distilled, refined and pseudo-masks, segmenter, control
writes  a row a step, every protocol, every class, pictures of the worst and of random masks
scores  mean IoU of each step with its interval, train and test apart; share of the control reached; head bias
"""

from __future__ import annotations

from pathlib import Path

from weakseg.evaluation.masks.recipe import ChainRecipe, MaskProtocol
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run

SPLITS = {"train": ("train", "val"), "test": ("test",)}


class Params(StageParams, ChainRecipe, MaskProtocol):
    most_images: int  # with a mask, scored in a split, evenly spaced; 0: all
    pictures: int  # masks shown, of the worst and of random ones


def main(
    params: Params, *, images: Path, labels: Path, masks: Path, parts: Path, cams: Path, distilled: Path, refined: Path,
    pseudomasks: Path, segmenter: Path, control: Path, steps: Path, protocols: Path, classes: Path, worst: Path,
    random: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts.activations import Cams
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.artifacts.formats.masks import Masks
    from weakseg.artifacts.truth import TrueMasks, heads, load_boxes
    from weakseg.evaluation.masks import report
    from weakseg.evaluation.masks.chain import Artifacts, Chain
    from weakseg.evaluation.masks.class_maps import ClassMaps
    from weakseg.evaluation.masks.pictures import draw_steps
    from weakseg.harness import files

    truth = TrueMasks(Masks(masks), load_labels(labels), heads(load_boxes(parts)))
    artifacts = Artifacts(
        zips.Images(images), ClassMaps.activations(Cams(cams)), ClassMaps.logits(Cams(distilled)),
        Masks(refined), Masks(pseudomasks), segmenter, control,
    )  # fmt: skip
    chain = Chain(truth, artifacts, params)
    found = report.score(chain, truth.chosen(SPLITS, params.most_images), params)
    ranked = found.rank()
    zips.save_png(worst, draw_steps(chain, ranked[: params.pictures]))
    zips.save_png(random, draw_steps(chain, report.draw_sample(ranked, params.pictures, params.seed)))
    files.save_csv(steps, found.steps)
    files.save_csv(protocols, found.protocols)
    files.save_csv(classes, found.classes)
    scores = truth.counts(SPLITS) | found.metrics()
    return Outcome(report.headline(scores), scores, found.list_chart())


if __name__ == "__main__":
    run(main)
