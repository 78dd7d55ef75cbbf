"""Networks and images as points, and the table of networks, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from weakseg.evaluation.receptive_field import statistics
from weakseg.evaluation.receptive_field.compare import Measure
from weakseg.figures import charts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("parameters", "flops", "accuracy", "max_box_acc", "max_box_acc_v2", "top1_loc")


def draw_scatter(models: pd.DataFrame, images: pd.DataFrame, measure: Measure, fit: dict[str, float]) -> bytes:
    """PNG of two scatters: networks with error bars and, where `fit` has one, the line; images with a line each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6))
    left, right = figure.subplots(1, 2)
    draw_models(left, models, measure, fit)
    draw_images(right, images)
    return charts.render_png(figure)


def draw_models(axes: Axes, models: pd.DataFrame, measure: Measure, fit: dict[str, float]) -> None:
    """A point with error bars for each network, and the line through them."""
    for row in models.to_dict("records"):
        errors = {"xerr": row.get(f"{measure}_error"), "yerr": row["max_box_acc_error"]}
        axes.errorbar(row[measure], row["max_box_acc"], **errors, fmt="o", capsize=3, label=row["network"])
    if fit:
        ends = np.array([models[measure].min(), models[measure].max()])
        axes.plot(ends, fit["intercept"] + fit["slope"] * ends, color="0.4", linewidth=1)
        interval = f"[{fit['pearson_low']:.2f}, {fit['pearson_high']:.2f}]"
        axes.set_title(f"r = {fit['pearson']:.2f} {interval}, R² = {fit['r2']:.2f}")
    axes.set(xlabel=measure, ylabel="MaxBoxAcc")
    axes.legend(fontsize=8)


def draw_images(axes: Axes, images: pd.DataFrame) -> None:
    """A point for each image in its network's color, and a line for each network of three images or more."""
    for network, group in images.groupby("network", sort=False):
        x, y = group["saliency_side"], group["iou_label_free"]
        points = axes.scatter(x, y, s=8, alpha=0.5, label=str(network))
        line = statistics.line(x.to_numpy(), y.to_numpy()) if len(group) >= 3 else None
        if line is not None:
            ends, colors = np.array([x.min(), x.max()]), np.asarray(points.get_facecolor())  # (1, 4)
            axes.plot(ends, line.intercept + line.slope * ends, color=tuple(colors[0, :3]), linewidth=1)
    axes.set(xlabel="side of the saliency area of an image, pixels", ylabel="overlap of its box, own threshold")


def draw_table(models: pd.DataFrame, measure: Measure) -> bytes:
    """PNG of the table, one network a row."""
    from matplotlib.figure import Figure

    columns = ["network", measure, *SHOWN]
    table = models[columns].copy()
    table["parameters"] = [f"{value / 1e6:.2f} M" for value in models["parameters"]]
    table["flops"] = [f"{value / 1e9:.3f} G" for value in models["flops"]]
    cells = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in table.to_numpy()]
    figure = Figure(figsize=(11, 0.6 + 0.35 * len(cells)))
    axes = figure.subplots()
    axes.axis("off")
    axes.table(cells, colLabels=columns, loc="center", cellLoc="center").auto_set_font_size(True)
    return charts.render_png(figure)
