"""Curves: lines where the numbers are, the same bytes twice, and nothing where there is nothing to draw."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from weakseg.figures import curves

BLUE = "#1f77b4"  # of the first line


def points(svg: bytes, color: str) -> list[str]:
    """Commands of the path of one line of a chart."""
    path = re.search(rf'<path d="([^"]*)"[^>]*stroke: {color}[^>]*>', svg.decode())
    assert path, "no such line"
    return re.findall(r"[ML] [\d.]+ [\d.]+", path.group(1))


def test_a_chart_has_a_line_a_table_and_the_same_bytes():
    frame = pd.DataFrame({"epoch": [1, 2, 3], "loss": [1.0, 0.5, 0.8], "seconds": 9})
    found = curves.draw_curves({"first": frame, "second": frame / 2}, "epoch")
    assert list(found) == ["loss"] and found == curves.draw_curves({"first": frame, "second": frame / 2}, "epoch")
    text = found["loss"].decode()
    assert ">first<" in text and ">second<" in text and ">epoch<" in text and "dc:date" not in text
    assert [command[0] for command in points(found["loss"], BLUE)] == ["M", "L", "L"]


def test_what_is_not_finite_is_a_gap_and_too_little_no_chart():
    frame = pd.DataFrame({"epoch": range(5), "loss": [1, 2, np.nan, 3, np.inf], "one": [1] + 4 * [np.nan]})
    found = curves.draw_curves({"": frame}, "epoch")
    assert list(found) == ["loss"]
    assert [command[0] for command in points(found["loss"], BLUE)] == ["M", "L", "M"]
    assert curves.draw_curves({}, "epoch") == curves.draw_curves({"": pd.DataFrame()}, "epoch") == {}
    assert curves.draw_curves({"": frame}, "epoch", ["absent"]) == {}


def test_a_column_that_repeats_another_is_drawn_once():
    frame = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "classification": [2.0, 1.0], "accuracy": [0.5, 0.6]})
    assert list(curves.draw_curves({"a": frame}, "epoch")) == ["loss", "accuracy"]
    assert list(curves.draw_curves({"a": frame}, "epoch", ["accuracy"])) == ["accuracy"]


def test_rows_lie_at_their_axis_unless_it_starts_anew():
    assert curves.index_rows(pd.DataFrame({"threshold": [0.1, 0.3]}), "threshold").index.tolist() == [0.1, 0.3]
    assert curves.index_rows(pd.DataFrame({"epoch": [1, 2, 1, 2]}), "epoch").index.tolist() == [1, 2, 3, 4]
