"""From the table of networks to the answer: how MaxBoxAcc goes with the receptive field, as a table and a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from studies.kernels import figure
from studies.kernels import plan as plans
from studies.kernels.plan import Plan
from weakseg.artifacts.formats import tables
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import groups
from weakseg.harness import command, files

SEED = 0  # of the bootstrap and of the permutation test


def relate(table: pd.DataFrame, plan: Plan) -> Iterator[dict[str, Any]]:
    """One row for each kind of maps, measure and scope: over all networks, within and between kernels.

    The kernel's side and accuracy stand among the measures, and accuracy among the maps: is it the kernel rather than
    the field, is it the better classifier that finds boxes, and does the field make it better? A scope in which one
    side is constant has no row. UserError: under five networks, or a value that is missing.
    """
    kinds = {kind: f"{kind}_max_box_acc" for kind in plan.maps} | {"accuracy": "accuracy"}
    for kind, column in kinds.items():
        for measure in dict.fromkeys([*plan.measures, "kernel", "accuracy"]):
            if measure == column:
                continue
            x, y = (table[name].to_numpy(float) for name in (measure, column))
            generator = np.random.default_rng(SEED)
            found = groups.relate_groups(x, y, table["kernel"].to_numpy(), plan.resamples, generator)
            for scope, one in asdict(found).items():
                if one is not None:
                    yield {"map": kind, "measure": measure, "scope": scope} | one


def load_table(path: Path, plan: Plan) -> pd.DataFrame:
    """The table of networks. UserError: a column is missing, or a network lacks its field."""
    wanted = ["network", "kernel", "shape", *plan.measures, *(f"{kind}_max_box_acc" for kind in plan.maps), "accuracy"]
    table = tables.load_table(path, wanted)
    for name in plan.measures:
        lacking = table["network"][~(pd.to_numeric(table[name], errors="coerce") > 0)]
        if len(lacking):
            raise UserError(f"{path}: network {lacking.iloc[0]} has no {name}: measure it again or remove its row")
    return table


def answer(plan_file: Path, table_file: Path, out: Path, picture: Path) -> None:
    """Write the relations and their picture."""
    plan = plans.load(plan_file)
    table = load_table(table_file, plan)
    relations = pd.DataFrame(relate(table, plan))
    files.save_csv(out, relations)
    files.save_bytes(picture, figure.draw(table, relations, list(plan.maps), plan.measures[0]))


def main(arguments: list[str] | None = None) -> int:
    """`python -m studies.kernels.answer`, from the root; a UserError becomes one line and exit code 1."""
    parser = argparse.ArgumentParser("python -m studies.kernels.answer", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE")
    parser.add_argument("--table", type=Path, required=True, metavar="FILE", help="table of networks")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table of relations to write")
    parser.add_argument("--picture", type=Path, required=True, metavar="FILE", help="PNG to write")
    parsed = parser.parse_args(arguments)
    return command.attempt("studies.kernels", lambda: answer(parsed.plan, parsed.table, parsed.out, parsed.picture))


if __name__ == "__main__":
    sys.exit(main())
