"""Experiments of a sweep as one table: what was varied, and what came out for each network."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from weakseg.errors import UserError
from weakseg.figures.charts import render_png

Experiment = dict[str, Any]  # a row of DVC's table: values by column
PANEL = 4  # inches, side of a panel of the picture


def split_key(key: str) -> tuple[str, str]:
    """File and name of a column of DVC's table of experiments; the file is empty where the name is unambiguous."""
    file, _, name = key.rpartition(":")
    return file, name


def find_varied(experiments: Sequence[Experiment], sections: Collection[str]) -> dict[str, str]:
    """Column and short name of each parameter that is not the same in all experiments.

    sections: top-level keys of params.yaml. The short name is the last part, or the whole where two would be alike.
    """
    keys = sorted({key for row in experiments for key in row if split_key(key)[1].split(".")[0] in sections})
    keys = [key for key in keys if split_key(key)[0] in ("", "params.yaml")]
    varied = [key for key in keys if len({str(row.get(key)) for row in experiments}) > 1]
    short = [key.split(".")[-1] for key in varied]
    return {key: name if short.count(name) == 1 else split_key(key)[1] for key, name in zip(varied, short, strict=True)}


def name_network(file: str) -> str:
    """The network a metrics file is about: metrics/evaluate_boxes/resnet.json -> resnet; empty for an only file."""
    return file.rpartition("/")[2].removesuffix(".json")


def find_only_network(row: Experiment) -> str:
    """The network of an experiment whose section `networks` has one entry; else empty."""
    names = [split_key(key)[1].split(".") for key, value in row.items() if value is not None]
    networks = {parts[1] for parts in names if parts[0] == "networks" and len(parts) > 1}
    return networks.pop() if len(networks) == 1 else ""


def read_metrics(row: Experiment, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These metrics of an experiment by network.

    Where several files of a network hold the same name, the file that holds the first metric has the word.
    """
    columns = [(*split_key(key), value) for key, value in row.items() if value is not None]
    columns = [column for column in columns if column[1] in metrics]
    leading = {file for file, name, _ in columns if name == metrics[0]}
    values: dict[str, dict[str, Any]] = {}
    for file, name, value in sorted(columns, key=lambda column: (column[0] not in leading, column[0])):
        values.setdefault(name_network(file) or find_only_network(row), {}).setdefault(name, value)
    return values


def tabulate(experiments: Sequence[Experiment], sections: Collection[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row for each finished experiment and network: experiment, network, the varied parameters, the metrics.

    experiments: rows of DVC's table; those without a name (the workspace and its commits) and the failed are left out.
    UserError where nothing is left, or no experiment has one of the metrics.
    """
    named = [row for row in experiments if row.get("Experiment") and row.get("State") in (None, "Success")]
    if not named:
        raise UserError(
            "there is no finished experiment: queue some with `dvc exp run --queue $(cat presets/sweep_wsol)` and run "
            "them with `dvc queue start`"
        )
    parameters, rows = find_varied(named, sections), []
    for row in named:
        settings = {name: row.get(key) for key, name in parameters.items()}
        for network, values in read_metrics(row, metrics).items():
            rows.append({"experiment": row["Experiment"], "network": network} | settings | values)
    absent = [name for name in metrics if not any(name in row for row in rows)]
    if absent:
        raise UserError(f"no experiment has the metric '{absent[0]}': name one that metrics/ holds")
    return pd.DataFrame(rows).sort_values(["network", *parameters.values(), "experiment"], kind="stable")


def draw(rows: pd.DataFrame, metrics: Sequence[str]) -> bytes:
    """PNG: the first metric over each varied parameter, a panel each, experiments as points and means as a line."""
    from matplotlib.figure import Figure

    parameters = [name for name in rows.columns if name not in ("experiment", "network", *metrics)] or ["experiment"]
    figure = Figure(figsize=(1 + PANEL * len(parameters), PANEL))
    panels = figure.subplots(1, len(parameters), squeeze=False)[0]
    for axes, parameter in zip(panels, parameters, strict=True):
        numeric = pd.api.types.is_numeric_dtype(rows[parameter])
        for network, group in rows.groupby("network"):
            values = group[parameter] if numeric else group[parameter].astype(str)
            means = group[metrics[0]].groupby(values).mean()
            points = axes.scatter(values, group[metrics[0]], s=12, alpha=0.6)
            axes.plot(means.index, means, color=points.get_facecolor()[0][:3], label=network or metrics[0])
        axes.set(xlabel=parameter, ylabel=metrics[0])
        axes.legend(fontsize=8)
    return render_png(figure)
