"""Experiments of a sweep as one table: what was varied, and what came out for each network."""

from __future__ import annotations

from typing import Any

import pandas as pd
import yaml

from weakseg.errors import UserError
from weakseg.figures import pictures


def split_key(key: str) -> tuple[str, str]:
    """File and name of a column of DVC's table of experiments; the file is empty where the name is unambiguous."""
    file, _, name = key.rpartition(":")
    return file, name


def varied(experiments: list[dict[str, Any]], sections: set[str]) -> dict[str, str]:
    """Column and short name of each parameter that is not the same in all experiments.

    sections: top-level keys of params.yaml. The short name is the last part, or the whole where two would be alike.
    """
    keys = sorted({key for row in experiments for key in row if split_key(key)[1].split(".")[0] in sections})
    keys = [key for key in keys if split_key(key)[0] in ("", "params.yaml")]
    found = [key for key in keys if len({str(row.get(key)) for row in experiments}) > 1]
    short = [key.split(".")[-1] for key in found]
    return {key: name if short.count(name) == 1 else split_key(key)[1] for key, name in zip(found, short, strict=True)}


def source(file: str) -> str:
    """The network a metrics file is about: metrics/evaluate_boxes/resnet.json -> resnet; empty for an only file."""
    return file.rpartition("/")[2].removesuffix(".json")


def only_network(row: dict[str, Any]) -> str:
    """The network of an experiment whose parameter `backbones` lists one; else empty."""
    listed = [str(value) for key, value in row.items() if split_key(key)[1] == "backbones"]
    names = yaml.safe_load(listed[0]) if listed else []
    return names[0] if len(names) == 1 else ""


def table(experiments: list[dict[str, Any]], sections: set[str], metrics: list[str]) -> pd.DataFrame:
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
    parameters, rows = varied(named, sections), []
    for row in named:
        settings = {name: row.get(key) for key, name in parameters.items()}
        columns = [(*split_key(key), value) for key, value in row.items() if split_key(key)[1] in metrics]
        for file in sorted({file for file, _, _ in columns}):
            values = {name: value for place, name, value in columns if place == file}
            rows.append(
                {"experiment": row["Experiment"], "network": source(file) or only_network(row)} | settings | values
            )
    absent = [name for name in metrics if not any(name in row for row in rows)]
    if absent:
        raise UserError(f"no experiment has the metric '{absent[0]}': name one that metrics/ holds")
    return pd.DataFrame(rows).sort_values(["network", *parameters.values(), "experiment"], kind="stable")


def picture(rows: pd.DataFrame, metrics: list[str]) -> bytes:
    """PNG: the first metric over each varied parameter, a panel each, experiments as points and means as a line."""
    from matplotlib.figure import Figure

    parameters = [name for name in rows.columns if name not in ("experiment", "network", *metrics)] or ["experiment"]
    figure = Figure(figsize=(1 + 4 * len(parameters), 4))
    panels = figure.subplots(1, len(parameters), squeeze=False)[0]
    for axes, parameter in zip(panels, parameters, strict=True):
        numeric = pd.api.types.is_numeric_dtype(rows[parameter])
        for network, group in rows.groupby("network"):
            places = group[parameter] if numeric else group[parameter].astype(str)
            means = group[metrics[0]].groupby(places).mean()
            points = axes.scatter(places, group[metrics[0]], s=12, alpha=0.6)
            axes.plot(means.index, means, color=points.get_facecolor()[0][:3], label=network or metrics[0])
        axes.set(xlabel=parameter, ylabel=metrics[0])
        axes.legend(fontsize=8)
    return pictures.figure_bytes(figure)
