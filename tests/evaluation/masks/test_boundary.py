"""Outlines and the filling of undecided pixels, by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from weakseg.evaluation.masks import boundary


def square(size: int, start: int, stop: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[start:stop, start:stop] = 1
    return mask


def test_fill_takes_the_nearest_decided_pixel():
    row = np.array([[1, 255, 255, 255, 255, 2]], np.uint8)
    assert boundary.fill_ignored(row).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_fill_of_nothing_and_of_everything():
    assert boundary.fill_ignored(np.full((2, 3), 255, np.uint8)).tolist() == [[0, 0, 0], [0, 0, 0]]
    mask = np.array([[0, 1]], np.uint8)
    assert boundary.fill_ignored(mask) is mask


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 2, 255])))
def test_fill_gives_the_id_of_a_nearest_decided_pixel(mask: np.ndarray):
    filled = boundary.fill_ignored(mask)
    known = mask != 255
    assert (filled[known] == mask[known]).all() and (filled != 255).all()
    if not known.any():
        return
    nearest = ndimage.distance_transform_edt(~known)
    for row, column in zip(*np.nonzero(~known), strict=True):
        places = np.argwhere(mask == filled[row, column])
        assert np.hypot(*(places - (row, column)).T).min() == pytest.approx(nearest[row, column])


def test_outline_is_the_inner_rim_and_not_the_frame():
    assert boundary.outline(square(5, 1, 4) > 0).sum() == 8
    assert not boundary.outline(np.ones((4, 4), bool)).any()


def test_f_of_equal_shifted_and_distant_squares():
    truth = square(40, 10, 30)
    assert boundary.boundary_f(truth, truth) == 1
    assert boundary.boundary_f(np.roll(truth, 1, axis=1), truth, tolerance=0.001) == 1
    assert boundary.boundary_f(square(40, 0, 3), truth) == 0


def test_f_by_hand():
    """A 4x4 square of rim 12 against its left 4x2 half of rim 8, tolerance 1: 8 of 8 found, 8 of 12 covered."""
    truth, guess = square(12, 4, 8), square(12, 4, 8)
    guess[:, 6:] = 0
    precision, recall = 1, 8 / 12
    expected = 2 * precision * recall / (precision + recall)
    assert boundary.boundary_f(guess, truth, tolerance=0.001) == pytest.approx(expected)


def test_f_of_empty_masks():
    empty, full = np.zeros((9, 9), np.uint8), square(9, 2, 6)
    assert (boundary.boundary_f(empty, empty), boundary.boundary_f(empty, full)) == (1, 0)


def test_an_undefined_border_is_cut_in_the_middle():
    truth = square(40, 10, 30)
    banded = np.where(cv2.dilate(truth, np.ones((5, 5))) - cv2.erode(truth, np.ones((5, 5))), 255, truth)
    assert boundary.boundary_f(truth, banded.astype(np.uint8), tolerance=0.001) == 1
