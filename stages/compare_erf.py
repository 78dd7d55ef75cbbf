"""Hold the effective receptive field against localization, over networks and over the images of each.

reads   scores of measure_erf and evaluate_boxes, saliency areas and box overlaps of the images, folder by folder
writes  the table of networks, the fits over images, a scatter and its points (curves)
scores  Pearson, Spearman, bootstrap intervals, permutation p-values, regression with R2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from weakseg.evaluation.receptive_field import compare
from weakseg.evaluation.receptive_field.scatter import draw_scatter
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams):
    seed: int  # of the bootstrap and of the permutation test
    networks: dict[str, Any]
    fit: Literal["models", "images"]  # over networks, at least five, or only over the images of each
    measure: compare.Measure  # of the field that the networks are compared by
    resamples: int  # of the bootstrap and of the permutation test


def main(
    params: Params, *, fields: Path, boxes: Path, areas: Path, overlaps: Path, table: Path, images: Path, scatter: Path
) -> Outcome:
    generator = np.random.default_rng(params.seed)
    models = compare.load_models(params.networks, fields, boxes)
    fit = compare.fit_models(models, params.measure, params.resamples, generator) if params.fit == "models" else {}
    pairs = pd.concat([compare.load_pairs(name, areas, overlaps) for name in params.networks])
    files.save_csv(table, models)
    files.save_csv(images, compare.fit_each(pairs, params.resamples, generator))
    files.save_bytes(scatter, draw_scatter(models, pairs, params.measure, fit))
    scores = {"models": len(models)} | fit | compare.fit_pooled(pairs, params.resamples, generator)
    return Outcome(compare.headline(scores), scores, models.to_dict("records"))


if __name__ == "__main__":
    run(main, torch=False)
