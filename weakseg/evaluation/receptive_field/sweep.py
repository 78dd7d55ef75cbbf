"""How one figure of networks goes with another over the experiments of a sweep, within and between groups of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field.groups import GroupRelation, relate_groups
from weakseg.figures import charts


@dataclass(frozen=True)
class Pair:
    """Columns of a table of experiments: y is held against x; `group`: whose values make groups, "" for none."""

    x: str
    y: str
    group: str = ""


def relate_rows(rows: pd.DataFrame, pair: Pair, resamples: int, generator: np.random.Generator) -> GroupRelation:
    """The relation of two columns over rows with columns experiment and network; without groups only `pooled` is set.

    UserError: a row lacks one of the two (its experiment is named), there is no such column of groups, under five rows.
    """
    for name in (pair.x, pair.y):
        absent = rows[rows[name].isna()]
        if len(absent):
            first = absent.iloc[0]
            raise UserError(
                f"experiment '{first['experiment']}' has no {name} of network '{first['network']}': run the stage that "
                "measures it there too, or remove the experiment"
            )
    if pair.group and pair.group not in rows:
        raise UserError(f"there is no column '{pair.group}' to group by: choose one of {', '.join(rows.columns)}")
    groups = rows[pair.group].astype(str) if pair.group else pd.Series("", rows.index)
    x, y = rows[pair.x].to_numpy(float), rows[pair.y].to_numpy(float)
    relation = relate_groups(x, y, groups.to_numpy(str), resamples, generator)
    return relation if pair.group else GroupRelation(relation.pooled, None, None)


def tabulate_relation(relation: GroupRelation) -> pd.DataFrame:
    """One row each for pooled, within and between, of those that are defined: `over`, then the fields."""
    found = {name: getattr(relation, name) for name in ("pooled", "within", "between")}
    return pd.DataFrame([{"over": name} | asdict(one) for name, one in found.items() if one is not None])


def draw_rows(rows: pd.DataFrame, pair: Pair, relation: GroupRelation) -> bytes:
    """PNG: a point a row in its group's color, the group's mean as a cross with a line of the slope within groups."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5))
    axes = figure.subplots()
    groups = rows[pair.group].astype(str) if pair.group else pd.Series(pair.y, rows.index)
    for number, (name, group) in enumerate(rows.groupby(groups)):
        x, y = group[pair.x], group[pair.y]
        axes.scatter(x, y, s=16, alpha=0.7, color=f"C{number % 10}", label=str(name))
        if relation.within is not None:
            axes.plot(x.mean(), y.mean(), "x", color=f"C{number % 10}", markersize=9, markeredgewidth=2)
            ends = np.array([x.min(), x.max()])
            line = y.mean() + relation.within.slope * (ends - x.mean())
            axes.plot(ends, line, color=f"C{number % 10}", linewidth=1)
    found = {name: getattr(relation, name) for name in ("pooled", "within", "between")}
    axes.set_title(", ".join(f"{name} r = {one.r:.2f} (p {one.r_p:.2g})" for name, one in found.items() if one))
    axes.set(xlabel=pair.x, ylabel=pair.y)
    axes.legend(fontsize=8, title=pair.group or None)
    return charts.render_png(figure)
