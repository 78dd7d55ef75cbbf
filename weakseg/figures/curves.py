"""Curves of the report: one small chart a column, a line a network, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from weakseg.figures.charts import render_svg
from weakseg.figures.words import name_key

INCHES = (3.8, 2.5)  # width and height of a chart of the report
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#a3acba",
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}
COUNTERS = ("epoch", "round", "step", "seconds")  # columns that count on and are no curve


def draw_curves(tables: Mapping[str, pd.DataFrame], axis: str, columns: Sequence[str] = ()) -> dict[str, bytes]:
    """An SVG for each of these columns (all numeric ones where none is named) over column `axis`, a line a table.

    A column without two finite values in any table is left out, and so is one that repeats an earlier one (the parts
    of a loss, where there is one part); what is not finite leaves a gap.
    """
    drawn: dict[str, dict[str, pd.Series]] = {}
    for name in columns or list_curves(tables):
        lines = {item: index_rows(frame, axis)[name] for item, frame in tables.items() if name in frame}
        finite = max((int(np.isfinite(line).sum()) for line in lines.values()), default=0)
        if finite > 1 and not any(are_equal(lines, others) for others in drawn.values()):
            drawn[name] = lines
    return {name_key(name): draw_lines(name_key(name), axis, lines) for name, lines in drawn.items()}


def are_equal(lines: Mapping[str, pd.Series], others: Mapping[str, pd.Series]) -> bool:
    """Whether both hold the same lines under the same names."""
    return lines.keys() == others.keys() and all(lines[name].equals(others[name]) for name in lines)


def list_curves(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The numeric columns of any table that do not merely count on."""
    columns = dict.fromkeys(name for frame in tables.values() for name in frame.select_dtypes("number"))
    return [name for name in columns if name not in COUNTERS]


def index_rows(frame: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The rows at their value of column `axis`; at 1, 2, ... where that starts anew (an epoch of a later round)."""
    if axis in frame and frame[axis].is_monotonic_increasing and frame[axis].is_unique:
        return frame.set_index(axis)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1), axis=0)


def draw_lines(title: str, axis: str, lines: Mapping[str, pd.Series]) -> bytes:
    """An SVG of lines, each value over its index; names in a legend where there is more than one line."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        for name, line in lines.items():
            axes.plot(line.index, line.where(np.isfinite(line)), label=name)
        axes.set(title=title, xlabel=axis)
        axes.grid(axis="y", color="#e3e7ee", linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=axis in COUNTERS))
        if len(lines) > 1:
            axes.legend(fontsize=7, loc="best")
        return render_svg(figure)
