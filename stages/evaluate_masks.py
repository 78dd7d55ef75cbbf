"""Score the masks of every step of the chain, from activation map to segmenter, on images with true masks.

reads   images, labels, true masks, head boxes, cams, distilled, refined and pseudo-masks, segmenter, control
writes  a row a step (curves), every protocol, every class, pictures of the worst and of random masks
scores  mean IoU of each step with its interval, train and test apart; share of the control reached; head bias
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from weakseg.artifacts import activations, tables, zips
from weakseg.artifacts.truth import TrueMasks, heads, load_boxes
from weakseg.evaluation.masks import report as masks_report
from weakseg.evaluation.masks.steps import Maps, Settings, Sources, everything, trained
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks import saved_segmenter

SPLITS = {"train": ("train", "val"), "test": ("test",)}


class Params(StageParams):
    """Section evaluate_masks."""

    seed: int
    images: int  # images with a mask scored in a split, at most, evenly spaced; 0: all
    batch_size: int  # images a forward pass
    precision: Literal["fp32", "bf16"]
    tails: float  # quantile the seed map is clipped at, on both ends, before Otsu's threshold
    sigma: float  # of the centered Gaussian, as a share of the image's sides
    square: int  # pixels, side of the protocols at square size
    batch: int  # images a batch of the protocols that average over batches
    replicates: int  # of the bootstrap over images
    tolerance: float  # of the boundary F-score, as a share of the image's diagonal
    pictures: int  # masks shown, of the worst and of random ones


def main(
    params: Params, *, images: Path, labels: Path, masks: Path, parts: Path, cams: Path, distilled: Path, refined: Path,
    pseudomasks: Path, segmenter: Path, control: Path, protocols: Path, classes: Path, worst: Path, random: Path,
) -> tuple[dict[str, float], list[dict]]:  # fmt: skip
    truth = TrueMasks(zips.Masks(masks), tables.load_labels(labels), heads(load_boxes(parts)))
    sources = Sources(
        zips.Images(images), Maps(activations.Cams(cams), False), Maps(activations.Cams(distilled), True),
        zips.Masks(refined), zips.Masks(pseudomasks), segmenter, control,
    )  # fmt: skip
    known = truth.chosen(SPLITS, params.images)
    protocol = masks_report.Protocol(params.square, params.batch, params.replicates, params.seed, params.tolerance)
    final = saved_segmenter.rounds(segmenter)[-1]
    several = len(saved_segmenter.load(final)[1].classes)
    settings = Settings(params.sigma, params.tails, params.batch_size, params.precision)
    report, ranked = masks_report.Report(), []
    for split, ids in known.items():
        steps = everything(truth, sources, settings, ids)
        own = report.add(split, steps, truth, ids, several, protocol)
        ranked = [ids[place] for place in np.argsort(own[final.stem], kind="stable")]
    shown = {worst: ranked[: params.pictures], random: masks_report.drawn(ranked, params.pictures, params.seed)}
    steps = trained(truth, sources, settings)
    for path, ids in shown.items():
        zips.save_png(path, masks_report.pictures(steps, truth, sources.images, ids))
    files.save_csv(protocols, report.protocols)
    files.save_csv(classes, report.classes)
    return truth.counts(SPLITS) | report.metrics(final.stem), report.steps


if __name__ == "__main__":
    run(main)
