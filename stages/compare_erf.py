"""Hold the effective receptive field against localization, over networks and over the images of each.

reads   metrics of measure_erf and evaluate_boxes, saliency areas and box overlaps of the images, folder by folder
writes  the table of networks (CSV and picture), the fits over images, a scatter
scores  Pearson, Spearman, bootstrap intervals, permutation p-values, regression with R2
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from weakseg.evaluation.receptive_field import compare
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run


class Params(StageParams):
    """Section compare_erf."""

    seed: int
    backbones: list[str]
    fit: Literal["models", "images"]  # over networks, at least five, or only over the images of each
    measure: str  # of the field that the networks are compared by
    resamples: int  # of the bootstrap and of the permutation test


def main(
    params: Params, *, fields: Path, boxes: Path, areas: Path, overlaps: Path, table: Path, table_picture: Path,
    images: Path, scatter: Path,
) -> dict[str, float]:  # fmt: skip
    compare.check_measure(params.measure)
    generator = np.random.default_rng(params.seed)
    models = compare.table(params.backbones, fields, boxes)
    fit = compare.between(models, params.measure, params.resamples, generator) if params.fit == "models" else {}
    both = pd.concat([compare.pairs(name, areas, overlaps) for name in params.backbones])
    files.save_csv(table, models)
    files.save_bytes(table_picture, compare.table_picture(models, params.measure))
    files.save_csv(images, compare.within(both, params.resamples, generator))
    files.save_bytes(scatter, compare.picture(models, both, params.measure, fit))
    return {"models": len(models)} | fit | compare.pooled(both, params.resamples, generator)


if __name__ == "__main__":
    run(main)
