"""`weakseg collect`: the experiments of a sweep as one CSV and one plot, and how two of their metrics go together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weakseg.harness import files, params

if TYPE_CHECKING:  # figures bring pandas and matplotlib, which other commands should not wait for
    import pandas as pd

    from weakseg.figures import sweeps

LOCK = "dvc.lock"


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser("collect", help=__doc__.split(": ", 1)[1])
    parser.add_argument(
        "--metric", nargs="+", default=["max_box_acc", "erf"], metavar="NAME", help="the first one is plotted"
    )
    parser.add_argument("--table", type=Path, default=Path("report/sweep.csv"), metavar="FILE", help="CSV to write")
    parser.add_argument("--plot", type=Path, default=Path("report/sweep.png"), metavar="FILE", help="PNG to write")
    parser.add_argument("--commits", type=int, default=1, metavar="N", help="also experiments of the last N commits")
    parser.add_argument(
        "--compare", nargs="?", const="erf", metavar="NAME",
        help="also how the first metric goes with this one (erf) over all rows: five at least",
    )  # fmt: skip
    parser.add_argument(
        "--group", default="", metavar="COLUMN", help="of the table, to compare within and between its groups"
    )
    parser.add_argument(
        "--relation", type=Path, default=Path("report/sweep_relation.csv"), metavar="FILE",
        help="CSV of the comparison; its picture stands beside it as PNG",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write the table and the plot, and say how many runs they hold. UserError: no finished experiment or metric."""
    from weakseg.figures import sweeps

    whole = params.read(Path("params.yaml"))
    experiments, failed = read_experiments(args.commits)
    metrics = list(dict.fromkeys([*args.metric, *([args.compare] if args.compare else [])]))
    rows = sweeps.tabulate(experiments, metrics)
    files.save_csv(args.table, rows)
    files.save_bytes(args.plot, sweeps.draw(rows, metrics))
    former = sum(bool(one.former & set(one.metrics)) for one in experiments)
    print(f"{args.table}: {rows['experiment'].nunique()} experiments, {len(rows)} rows; {failed} failed and left out")
    if former:
        print(f"{former} experiments also hold metrics of an earlier run: those are left out")
    if args.compare:
        compare(args, rows, whole["seed"], whole["compare_erf"]["resamples"])


def compare(args: argparse.Namespace, rows: pd.DataFrame, seed: int, resamples: int) -> None:
    """Write and print how the first metric goes with the other over the rows. UserError: see `sweep.relate_rows`."""
    import numpy as np

    from weakseg.evaluation.receptive_field import sweep

    pair = sweep.Pair(args.compare, args.metric[0], args.group)
    relation = sweep.relate_rows(rows, pair, resamples, np.random.default_rng(seed))
    table = sweep.tabulate_relation(relation)
    files.save_csv(args.relation, table)
    files.save_bytes(args.relation.with_suffix(".png"), sweep.draw_rows(rows, pair, relation))
    print(f"{args.relation}: {pair.y} over {pair.x}")
    print(table.round(3).to_string(index=False))


def read_experiments(commits: int) -> tuple[list[sweeps.Experiment], int]:
    """Finished experiments of the last commits, sorted by name, and the number of failed ones."""
    from dvc.repo import Repo

    found: list[sweeps.Experiment] = []
    failed = 0
    with Repo() as repo:
        listed = [one for base in repo.experiments.show(num=commits) for one in base.experiments or []]
        for one in listed:
            state, tip = one.executor.state if one.executor else "success", one.revs[0]
            failed += state == "failed"
            if state == "success" and tip.data is not None:
                found.append(read_experiment(repo, one.name or tip.rev[:7], tip))
    return sorted(found, key=lambda one: one.name), failed


def read_experiment(repo: Any, name: str, tip: Any) -> sweeps.Experiment:
    """One experiment from DVC's record of it, and its dvc.lock."""
    import yaml

    from weakseg.figures import sweeps

    with repo.scm.get_fs(tip.rev).open(LOCK) as file:
        lock = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    parameters = tip.data.params.get("params.yaml", {}).get("data", {})
    metrics = {path: values["data"] for path, values in tip.data.metrics.items() if values.get("data")}
    return sweeps.Experiment(name, parameters, metrics, frozenset(sweeps.find_former(lock)))
