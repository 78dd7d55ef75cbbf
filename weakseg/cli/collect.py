"""`weakseg collect`: the experiments of a sweep as one CSV and one plot."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser("collect", help=__doc__.split(": ", 1)[1])
    parser.add_argument(
        "--metric", nargs="+", default=["box_acc", "accuracy"], metavar="NAME", help="the first one is plotted"
    )
    parser.add_argument("--table", type=Path, default=Path("report/sweep.csv"), metavar="FILE", help="CSV to write")
    parser.add_argument("--plot", type=Path, default=Path("report/sweep.png"), metavar="FILE", help="PNG to write")
    parser.add_argument("--commits", type=int, default=1, metavar="N", help="also experiments of the last N commits")


def run(args: argparse.Namespace) -> None:
    """Write the table and the plot, and say how many runs they hold. UserError: no finished experiment or metric."""
    import dvc.api

    from weakseg.figures import sweeps
    from weakseg.harness import files, params

    experiments = dvc.api.exp_show(num=args.commits)
    rows = sweeps.tabulate(experiments, set(params.read(Path("params.yaml"))), args.metric)
    files.save_csv(args.table, rows)
    files.save_bytes(args.plot, sweeps.draw(rows, args.metric))
    failed = sum(row.get("State") == "Failed" for row in experiments)
    print(f"{args.table}: {rows['experiment'].nunique()} experiments, {len(rows)} rows; {failed} failed and left out")
