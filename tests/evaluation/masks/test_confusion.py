"""Confusion counts and what becomes of the border, by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from weakseg.evaluation.masks import confusion

TRUTH = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], np.uint8)
GUESS = np.array([[0, 1, 1, 1], [0, 0, 1, 0]], np.uint8)


def test_confusion_by_hand():
    expected = [[2, 1, 0], [1, 2, 0], [1, 1, 0]]
    assert confusion.count_pairs(GUESS, TRUTH, 2).tolist() == expected


def test_abstained_pixels_have_their_own_column():
    counts = confusion.count_pairs(np.array([[255, 1]], np.uint8), np.array([[0, 1]], np.uint8), 2)
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("bad", [np.zeros((1, 3), np.uint8), np.full((2, 4), 7, np.uint8)])
def test_confusion_refuses_other_shapes_and_ids(bad: np.ndarray):
    with pytest.raises(ValueError, match=r"differ in shape|outside 0\.\.1"):
        confusion.count_pairs(bad, TRUTH, 2)


def test_every_border_case_by_hand():
    """Ignore 2/4, 2/4; foreground 2/5, 3/6; background 3/6, 2/5; class 2/5, 2/5, 0/2."""
    values = confusion.case_miou(confusion.border_cases(confusion.count_pairs(GUESS, TRUTH, 2)))
    expected = [Fraction(1, 2), Fraction(9, 20), Fraction(9, 20), Fraction(4, 15)]
    np.testing.assert_allclose(values, [float(value) for value in expected], rtol=1e-12)


def test_border_goes_to_the_image_s_own_class():
    truth = np.array([[0, 2, 2, 255]], np.uint8)
    cases = confusion.border_cases(confusion.count_pairs(np.array([[0, 2, 2, 2]], np.uint8), truth, 3))
    assert cases[1][2].tolist() == [0, 0, 3, 0]
    empty = confusion.border_cases(confusion.count_pairs(truth, np.array([[0, 0, 0, 255]], np.uint8), 3))
    assert empty[1][0].sum() == 4


def test_worked_example_of_the_border_rules():
    """The four tables of the docstring."""
    counts = np.array([[6, 0, 1, 0], [0, 3, 0, 0], [1, 0, 4, 0], [2, 2, 1, 0]])
    cases = dict(zip(confusion.BORDERS, confusion.border_cases(counts), strict=True))
    assert cases["ignore"].tolist() == [[6, 0, 1, 0], [0, 3, 0, 0], [1, 0, 4, 0], [0, 0, 0, 0]]
    assert cases["foreground"].tolist() == [[6, 0, 1, 0], [0, 3, 0, 0], [3, 2, 5, 0], [0, 0, 0, 0]]
    assert cases["background"].tolist() == [[8, 2, 2, 0], [0, 3, 0, 0], [1, 0, 4, 0], [0, 0, 0, 0]]
    assert cases["class"].tolist() == counts.tolist()


def test_border_cases_of_several_tables_are_those_of_each():
    counts = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 4))
    counts[0, 0, 1:3] = 0  # an image without foreground
    each = np.array([[confusion.border_cases(table) for table in row] for row in counts])
    assert (confusion.border_cases(counts) == each).all()
