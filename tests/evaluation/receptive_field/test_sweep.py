"""Two figures over the rows of a sweep: the statistics are those of the groups, and gaps are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import sweep
from weakseg.evaluation.receptive_field.groups import relate_groups
from weakseg.evaluation.receptive_field.sweep import Pair

PAIR = Pair("erf", "max_box_acc", "kernel")


def make_rows() -> pd.DataFrame:
    """Five kernels, three experiments each: over kernels boxes gain from the field, within one they lose."""
    kernel, inner = np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)
    rows = pd.DataFrame({"experiment": [f"e{k}" for k in range(15)], "network": "slak", "kernel": 7 + 2 * kernel})
    return rows.assign(erf=0.01 * (10 * kernel + inner), max_box_acc=0.01 * (10 * kernel - inner))


def relate(rows: pd.DataFrame, pair: Pair = PAIR) -> pd.DataFrame:
    return sweep.tabulate_relation(sweep.relate_rows(rows, pair, 99, np.random.default_rng(0))).set_index("over")


def test_within_and_between_groups():
    rows = make_rows()
    found = relate(rows)
    assert found.loc[["within", "between"], "r"].tolist() == pytest.approx([-1, 1])
    assert found["n"].to_dict() == {"pooled": 15, "within": 15, "between": 5}
    columns = rows["erf"].to_numpy(), rows["max_box_acc"].to_numpy(), rows["kernel"].astype(str).to_numpy()
    pooled = relate_groups(*columns, 99, np.random.default_rng(0)).pooled
    assert pooled is not None and found.loc["pooled", "r_p"] == pooled.r_p


def test_without_groups_only_the_pooled_relation_is_told():
    assert list(relate(make_rows(), Pair("erf", "max_box_acc")).index) == ["pooled"]


def test_the_picture_is_the_same_twice():
    rows = make_rows()
    relation = sweep.relate_rows(rows, PAIR, 99, np.random.default_rng(0))
    first = sweep.draw_rows(rows, PAIR, relation)
    assert first == sweep.draw_rows(rows, PAIR, relation) and first.startswith(b"\x89PNG")


def test_refusals():
    rows = make_rows()
    rows.loc[4, "erf"] = np.nan
    with pytest.raises(UserError, match="experiment 'e4' has no erf of network 'slak': run the stage"):
        relate(rows)
    with pytest.raises(UserError, match="no column 'size' to group by: choose one of experiment, network, kernel"):
        relate(make_rows(), Pair("erf", "max_box_acc", "size"))
    with pytest.raises(UserError, match="at least 5 points and there are 4"):
        relate(make_rows().iloc[:4])
