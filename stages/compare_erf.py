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

from weakseg import erf_comparison
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
    erf_comparison.check_measure(params.measure)
    generator = np.random.default_rng(params.seed)
    models = erf_comparison.table(params.backbones, fields, boxes)
    fit = erf_comparison.between(models, params.measure, params.resamples, generator) if params.fit == "models" else {}
    both = pd.concat([erf_comparison.pairs(name, areas, overlaps) for name in params.backbones])
    files.save_csv(table, models)
    files.save_bytes(table_picture, erf_comparison.table_picture(models, params.measure))
    files.save_csv(images, erf_comparison.within(both, params.resamples, generator))
    files.save_bytes(scatter, erf_comparison.picture(models, both, params.measure, fit))
    return {"models": len(models)} | fit | erf_comparison.pooled(both, params.resamples, generator)


if __name__ == "__main__":
    run(main)
