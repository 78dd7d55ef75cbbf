"""Does a network that looks further find objects better: over networks, and over the images of each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import statistics
from weakseg.figures import pictures
from weakseg.harness import files

MEASURES = ("saliency_share", "saliency_side", "saliency_pixels", "central_area_50", "central_area_99")
ERF_COLUMNS = (
    "saliency_pixels", "saliency_share", "saliency_share_error", "saliency_side", "central_area_20", "central_area_30",
    "central_area_50", "central_area_99", "anisotropy", "crossness", "random_saliency_share", "random_central_area_50",
    "parameters", "flops",
)  # fmt: skip
BOX_COLUMNS = (
    "max_box_acc", "max_box_acc_error", "max_box_acc_v2", "pxap", "optimal_threshold", "top1_loc", "accuracy", "images"
)  # fmt: skip
SHOWN = ("backbone", "parameters", "flops", "accuracy", "max_box_acc", "max_box_acc_v2", "top1_loc")


def table(backbones: list[str], fields: Path, boxes: Path) -> pd.DataFrame:
    """One row a network from its JSON metrics in the folders `fields` and `boxes`; UserError where one is absent."""
    rows = []
    for backbone in backbones:
        receptive, found = (files.load_json(folder / f"{backbone}.json") for folder in (fields, boxes))
        row = {name: receptive[name] for name in ERF_COLUMNS} | {name: found.get(name) for name in BOX_COLUMNS}
        rows.append({"backbone": backbone} | row)
    return pd.DataFrame(rows)


def check_measure(measure: str) -> None:
    """UserError unless `measure` is one of MEASURES."""
    if measure not in MEASURES:
        raise UserError(f"compare_erf.measure is '{measure}': choose one of {', '.join(MEASURES)}")


def fitted(x: np.ndarray, y: np.ndarray, resamples: int, generator: np.random.Generator) -> dict[str, float]:
    """Correlations, intervals, p-values and line of y on x (n,); nothing where x or y is constant."""
    relation, line = statistics.relation(x, y, resamples, generator), statistics.line(x, y)
    return {} if relation is None or line is None else asdict(relation) | asdict(line)


def between(models: pd.DataFrame, measure: str, resamples: int, generator: np.random.Generator) -> dict[str, float]:
    """Fit MaxBoxAcc on the measure over networks; UserError under five, with the way out."""
    statistics.require_models(len(models))
    return fitted(models[measure].to_numpy(), models["max_box_acc"].to_numpy(), resamples, generator)


def pairs(backbone: str, areas: Path, overlaps: Path) -> pd.DataFrame:
    """Images of one network that have both a saliency area and a box: image_id, saliency_side, iou_label_free."""
    one, other = (
        pd.read_csv(files.existing(folder / f"{backbone}.csv"), dtype={"image_id": str}) for folder in (areas, overlaps)
    )
    found = one.merge(other, on="image_id")[["image_id", "saliency_side", "iou_label_free"]]
    return found.assign(backbone=backbone)


def within(images: pd.DataFrame, resamples: int, generator: np.random.Generator) -> pd.DataFrame:
    """Fit the overlap on the saliency side over the images of each network, one row a network.

    A network with fewer than three common images gets its number of images alone.
    """
    rows = []
    for backbone, group in images.groupby("backbone", sort=False):
        x, y = group["saliency_side"].to_numpy(), group["iou_label_free"].to_numpy()
        found = fitted(x, y, resamples, generator) if len(group) >= 3 else {}
        rows.append({"backbone": backbone, "images": len(group)} | found)
    return pd.DataFrame(rows)


def pooled(images: pd.DataFrame, resamples: int, generator: np.random.Generator) -> dict[str, float]:
    """Fit over the images of all networks, each network's own mean taken out, so that networks are not compared.

    Names begin with images_. Fewer than three common images: their number alone.
    """
    values = images[["saliency_side", "iou_label_free"]] - images.groupby("backbone")[
        ["saliency_side", "iou_label_free"]
    ].transform("mean")
    x, y = values.to_numpy().T
    found = fitted(x, y, resamples, generator) if len(values) >= 3 else {}
    return {f"images_{name}": value for name, value in found.items()} | {"images": len(images)}


def picture(models: pd.DataFrame, images: pd.DataFrame, measure: str, fit: dict[str, float]) -> bytes:
    """PNG of two scatters: networks with error bars and, where `fit` has one, the line; images with a line each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6))
    left, right = figure.subplots(1, 2)
    for row in models.to_dict("records"):
        spread = row.get(f"{measure}_error")
        left.errorbar(
            row[measure],
            row["max_box_acc"],
            xerr=spread,
            yerr=row["max_box_acc_error"],
            fmt="o",
            capsize=3,
            label=row["backbone"],
        )
    if fit:
        ends = np.array([models[measure].min(), models[measure].max()])
        left.plot(ends, fit["intercept"] + fit["slope"] * ends, color="0.4", linewidth=1)
        left.set_title(
            f"r = {fit['pearson']:.2f} [{fit['pearson_low']:.2f}, {fit['pearson_high']:.2f}], R² = {fit['r2']:.2f}"
        )
    left.set(xlabel=measure, ylabel="MaxBoxAcc")
    left.legend(fontsize=8)
    for backbone, group in images.groupby("backbone", sort=False):
        points = right.scatter(group["saliency_side"], group["iou_label_free"], s=8, alpha=0.5, label=backbone)
        line = statistics.line(group["saliency_side"], group["iou_label_free"]) if len(group) >= 3 else None
        if line is not None:
            ends = np.array([group["saliency_side"].min(), group["saliency_side"].max()])
            right.plot(ends, line.intercept + line.slope * ends, color=points.get_facecolor()[0][:3], linewidth=1)
    right.set(xlabel="side of the saliency area of an image, pixels", ylabel="overlap of its box, own threshold")
    return pictures.figure_bytes(figure)


def table_picture(models: pd.DataFrame, measure: str) -> bytes:
    """PNG of the table, one network a row."""
    from matplotlib.figure import Figure

    columns = [*SHOWN[:1], measure, *SHOWN[1:]]
    shown = models[columns].copy()
    shown["parameters"] = [f"{value / 1e6:.2f} M" for value in models["parameters"]]
    shown["flops"] = [f"{value / 1e9:.3f} G" for value in models["flops"]]
    cells = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in shown.to_numpy()]
    figure = Figure(figsize=(11, 0.6 + 0.35 * len(cells)))
    axes = figure.subplots()
    axes.axis("off")
    axes.table(cells, colLabels=columns, loc="center", cellLoc="center").auto_set_font_size(True)
    return pictures.figure_bytes(figure)
