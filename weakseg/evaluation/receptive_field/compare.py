"""Does a network that looks further find objects better: over networks, and over the images of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import tables
from weakseg.harness import files

Measure = Literal["saliency_share", "saliency_side", "saliency_pixels", "central_area_50", "central_area_99"]
ERF_COLUMNS = (
    "saliency_pixels", "saliency_share", "saliency_share_error", "saliency_side", "central_area_20", "central_area_30",
    "central_area_50", "central_area_99", "anisotropy", "crossness", "random_saliency_share", "random_central_area_50",
    "parameters", "flops",
)  # fmt: skip
BOX_COLUMNS = (
    "max_box_acc", "max_box_acc_error", "max_box_acc_v2", "pxap", "optimal_threshold", "top1_loc", "accuracy", "images"
)  # fmt: skip
PAIR = ["saliency_side", "iou_label_free"]


def load_models(networks: Iterable[str], fields: Path, boxes: Path) -> pd.DataFrame:
    """One row a network from its scores in the folders `fields` and `boxes`; UserError where one is absent."""
    rows = []
    for network in networks:
        erf, box = (tables.load_scores(folder / f"{network}.csv") for folder in (fields, boxes))
        row = {name: erf[name] for name in ERF_COLUMNS} | {name: box.get(name) for name in BOX_COLUMNS}
        rows.append({"network": network} | row)
    return pd.DataFrame(rows)


def fit(x: np.ndarray, y: np.ndarray, resamples: int, generator: np.random.Generator) -> dict[str, float]:
    """Correlations, intervals, p-values and line of y on x (n,); nothing where x or y is constant."""
    from weakseg.evaluation.receptive_field import statistics  # brings scipy.stats: half a second

    relation, line = statistics.relation(x, y, resamples, generator), statistics.line(x, y)
    return {} if relation is None or line is None else asdict(relation) | asdict(line)


def fit_models(
    models: pd.DataFrame, measure: Measure, resamples: int, generator: np.random.Generator
) -> dict[str, float]:
    """Fit MaxBoxAcc on the measure over networks; UserError under five, with the way out."""
    from weakseg.evaluation.receptive_field import statistics  # brings scipy.stats: half a second

    statistics.require_models(len(models))
    return fit(models[measure].to_numpy(), models["max_box_acc"].to_numpy(), resamples, generator)


def load_pairs(network: str, areas: Path, overlaps: Path) -> pd.DataFrame:
    """Images of one network that have both a saliency area and a box: image_id, saliency_side, iou_label_free."""
    one, other = (
        pd.read_csv(files.existing(folder / f"{network}.csv"), dtype={"image_id": str}) for folder in (areas, overlaps)
    )
    return one.merge(other, on="image_id")[["image_id", *PAIR]].assign(network=network)


def fit_each(images: pd.DataFrame, resamples: int, generator: np.random.Generator) -> pd.DataFrame:
    """Fit the overlap on the saliency side over the images of each network, one row a network.

    A network with fewer than three common images gets its number of images alone.
    """
    rows = []
    for network, group in images.groupby("network", sort=False):
        x, y = group["saliency_side"].to_numpy(), group["iou_label_free"].to_numpy()
        fitted = fit(x, y, resamples, generator) if len(group) >= 3 else {}
        rows.append({"network": network, "images": len(group)} | fitted)
    return pd.DataFrame(rows)


def fit_pooled(images: pd.DataFrame, resamples: int, generator: np.random.Generator) -> dict[str, float]:
    """Fit over the images of all networks, each network's own mean taken out, so that networks are not compared.

    Names begin with images_. Fewer than three common images: their number alone.
    """
    x, y = (images[PAIR] - images.groupby("network")[PAIR].transform("mean")).to_numpy().T
    fitted = fit(x, y, resamples, generator) if len(images) >= 3 else {}
    return {f"images_{name}": value for name, value in fitted.items()} | {"images": len(images)}


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """Pearson's r between networks, or `r_images` where only images were fitted."""
    names = {"r": "pearson"} if "pearson" in scores else {"r_images": "images_pearson"}
    return {short: scores[name] for short, name in names.items() if name in scores}
