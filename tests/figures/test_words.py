"""Names and numbers as they are written."""

from __future__ import annotations

import pytest

from weakseg.figures import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (3, "3"),
        (12345, "12,345"),
        (110.0, "110"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (0.12349, "0.123"),
        (-2.5, "-2.500"),
        (1e-5, "1.00e-05"),
        (2e7, "2.00e+07"),
        (float("inf"), "inf"),
        ("<b>", "<b>"),
    ],
)
def test_numbers(value: words.Value, text: str):
    assert words.write_number(value) == text


def test_percent_and_range():
    assert [words.write_percent(value) for value in (0.125, 1, None, float("nan"), "0.5")] == [
        "12.5 %", "100.0 %", "–", "–", "–"
    ]  # fmt: skip
    assert words.write_range(0.5, 0.7) == "50.0 to 70.0 %" and words.write_range(None, None) == "–"


def test_names():
    assert words.name_key("random_max_box_acc_v2_error") == "random MaxBoxAccV2 error"
    assert words.name_key("test_mean_ap") == "test mean AP"
    names = [words.name_step(step) for step in ("seed", "round12", "rounds", "own_step")]
    assert names == ["Activation map", "Segmenter, round 12", "rounds", "own step"]
