"""Experiments of a sweep as one table: what was varied, and what came out for each network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from weakseg.errors import UserError
from weakseg.figures.charts import render_png

PANEL = 4  # inches, side of a panel of the picture


@dataclass(frozen=True)
class Experiment:
    """A finished experiment: its parameters as the nested mapping they are, and its metrics by file and name.

    former: metrics files left from an earlier run, whose stage has not seen what this experiment made.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    former: frozenset[str] = field(default_factory=frozenset)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names; empty ones are gone."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def find_former(lock: Mapping[str, Any]) -> set[str]:
    """Outputs in a dvc.lock whose stage read something else than the other stages wrote last, or what such a one wrote.

    An experiment that runs some stages alone keeps the others' committed metrics, though its networks are new.
    """
    stages = lock["stages"].values()
    written = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
    former: set[str] = set()
    before = None
    while before != len(former):
        before = len(former)
        for stage in stages:
            read = [(dep["path"], dep.get("md5")) for dep in stage.get("deps", []) if dep["path"] in written]
            if any(path in former or written[path] != digest for path, digest in read):
                former |= {out["path"] for out in stage.get("outs", [])}
    return former


def find_varied(experiments: Sequence[Experiment]) -> dict[str, str]:
    """Dotted and short name of each parameter that is not the same in all experiments; a network's own left out.

    The short name is the last part, or the whole where two would be alike.
    """
    flat = [flatten(one.parameters) for one in experiments]
    keys = sorted({key for one in flat for key in one if not key.startswith("networks.")})
    varied = [key for key in keys if len({str(one.get(key)) for one in flat}) > 1]
    short = [key.split(".")[-1] for key in varied]
    return {key: name if short.count(name) == 1 else key for key, name in zip(varied, short, strict=True)}


def find_different(experiments: Sequence[Experiment]) -> list[str]:
    """What the networks' own entries have that is not the same in all entries of all experiments: dotted, inside."""
    entries = [flatten(entry) for one in experiments for entry in one.parameters.get("networks", {}).values()]
    keys = sorted({key for entry in entries for key in entry})
    return [key for key in keys if len({str(entry.get(key)) for entry in entries}) > 1]


def read_metrics(experiment: Experiment, metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """These metrics of an experiment by network; what is of the whole run stands with each, with "" where none is.

    metrics/boxes/resnet.json is of network resnet. Files of an earlier run do not count. Where several files of a
    network hold the same name, the file that holds the first metric has the word.
    """
    files = {file: values for file, values in experiment.metrics.items() if file not in experiment.former}
    order = sorted(files, key=lambda file: (metrics[0] not in files[file], file))
    networks = experiment.parameters.get("networks", {})
    found: dict[str, dict[str, float]] = {}
    whole: dict[str, float] = {}
    for file in order:
        stem = PurePosixPath(file).stem
        target = found.setdefault(stem, {}) if stem in networks else whole
        for name in metrics:
            if name in files[file]:
                target.setdefault(name, files[file][name])
    rows = {network: whole | values for network, values in found.items() if values}
    return rows or ({"": whole} if whole else {})


def tabulate(experiments: Sequence[Experiment], metrics: Sequence[str]) -> pd.DataFrame:
    """One row for each experiment and network: experiment, network, what was varied, the metrics.

    What differs between the networks' own entries is among it (network.train.learning_rate). UserError where there is
    no experiment, or none has one of the metrics.
    """
    if not experiments:
        raise UserError(
            "there is no finished experiment: queue some with `dvc exp run --queue $(cat presets/sweep_wsol)` and run "
            "them with `dvc queue start`"
        )
    varied, own, rows = find_varied(experiments), find_different(experiments), []
    for one in experiments:
        flat = flatten(one.parameters)
        settings = {name: flat.get(key) for key, name in varied.items()}
        for network, values in read_metrics(one, metrics).items():
            entry = flatten(one.parameters.get("networks", {}).get(network, {}))
            particular = {f"network.{key}": entry.get(key) for key in own}
            rows.append({"experiment": one.name, "network": network} | settings | particular | values)
    absent = [name for name in metrics if not any(name in row for row in rows)]
    if absent:
        raise UserError(
            f"no experiment has measured the metric '{absent[0]}': name one that metrics/ holds, or run the stage that "
            "measures it in the experiments too (what an earlier run left does not count)"
        )
    table = pd.DataFrame(rows).sort_values(["network", *varied.values(), "experiment"], kind="stable")
    described = [name for name in table.columns if name not in metrics]
    return table[[*described, *metrics]].reset_index(drop=True)


def draw(rows: pd.DataFrame, metrics: Sequence[str]) -> bytes:
    """PNG: the first metric over each parameter that varies for a network, experiments as points, means as a line."""
    from matplotlib.figure import Figure

    parameters = list_varied(rows, metrics) or ["experiment"]
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


def list_varied(rows: pd.DataFrame, metrics: Iterable[str]) -> list[str]:
    """Columns of parameters that are not the same in all rows of each network."""
    counts = rows.astype(str).groupby("network").nunique().max()
    return [name for name in counts.index if counts[name] > 1 and name not in ("experiment", *metrics)]
