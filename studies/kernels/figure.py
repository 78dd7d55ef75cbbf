"""The study as one picture: a panel for each kind of maps, a point for each network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weakseg.figures import charts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"cam": "CAM", "pc1": "PC1", "distilled": "distilled"}
AXES = {
    "central_area_50": "effective receptive field: area that holds half of it, share of the image",
    "central_area_99": "effective receptive field: area that holds 99 % of it, share of the image",
    "saliency_share": "share of the image that holds a fifth of the class saliency",
}
MARKERS = {"square": ("s", 40), "cross": ("P", 66)}  # and their areas, points squared
GRAY = "0.45"
DOTTED: dict[str, Any] = {"color": "#c0392b", "linewidth": 1.2, "linestyle": ":"}


def draw(table: pd.DataFrame, relations: pd.DataFrame, kinds: list[str], measure: str) -> bytes:
    """PNG of MaxBoxAcc over a measure of the field: color is the kernel, marker its shape, the line that of all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1 * len(kinds), 4.3), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    colors = color_kernels(table["kernel"])
    for axes, kind in zip(panels, kinds, strict=True):
        draw_points(axes, table, kind, measure, colors)
        found = relations[(relations["map"] == kind) & (relations["measure"] == measure)].set_index("scope")
        draw_relation(axes, table, kind, measure, found)
    panels[0].set_ylabel("MaxBoxAcc, class given")
    figure.supxlabel(AXES.get(measure, measure), fontsize=10)
    figure.legend(*list_keys(colors), loc="outside right center", frameon=False, fontsize=9)
    return charts.render_png(figure)


def color_kernels(kernels: pd.Series) -> dict[int, Any]:
    """A color for each kernel, small ones dark."""
    from matplotlib import colormaps

    sides = sorted(set(kernels))
    places = np.linspace(0, 0.93, len(sides))  # the brightest yellow is hard to see
    return {side: colormaps["viridis"](place) for side, place in zip(sides, places, strict=True)}


def draw_points(axes: Axes, table: pd.DataFrame, kind: str, measure: str, colors: dict[int, Any]) -> None:
    """The networks."""
    for (kernel, shape), rows in table.groupby(["kernel", "shape"]):
        marker, size = MARKERS[str(shape)]
        axes.scatter(
            rows[measure], rows[f"{kind}_max_box_acc"], color=colors[kernel], marker=marker, s=size,
            edgecolor="white", linewidth=0.6, alpha=0.9, zorder=3,
        )  # fmt: skip
    axes.grid(color="0.92", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)


def draw_relation(axes: Axes, table: pd.DataFrame, kind: str, measure: str, found: pd.DataFrame) -> None:
    """The line of all networks, what it explains, and the boxes that learned nothing."""
    x, y = table[measure], table[f"{kind}_max_box_acc"]
    lines = [TITLES.get(kind, kind)]
    if "pooled" in found.index:
        one = found.loc["pooled"]
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, y.mean() + one["slope"] * (ends - x.mean()), color=GRAY, linewidth=1.4, zorder=2)
        lines.append(f"r = {one['r']:.2f} [{one['r_low']:.2f}, {one['r_high']:.2f}], R² = {one['r2']:.2f}")
    scopes = [scope for scope in ("within", "between") if scope in found.index]
    lines.append(", ".join(f"{scope} kernels {found.at[scope, 'r']:.2f}" for scope in scopes))
    axes.set_title("\n".join(lines).strip(), fontsize=10)
    axes.axhline(table["center_max_box_acc"].iloc[0], zorder=1, **DOTTED)


def list_keys(colors: dict[int, Any]) -> tuple[list[Any], list[str]]:
    """Handles and names of the legend."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"linestyle": "none", "markersize": 7, "markeredgecolor": "white"}
    handles = [Line2D([], [], marker="o", color=color, **style) for color in colors.values()]
    handles += [Line2D([], [], marker=marker, color=GRAY, **style) for marker, _ in MARKERS.values()]
    handles += [Line2D([], [], color=GRAY, linewidth=1.4), Line2D([], [], **DOTTED)]
    return handles, [*(f"kernel {side}" for side in colors), *MARKERS, "all networks", "centered Gaussian"]
