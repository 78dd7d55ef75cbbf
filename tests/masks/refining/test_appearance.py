"""Colors, positions and distances the refiners share."""

from __future__ import annotations

import numpy as np

from weakseg.masks.refining import appearance


def test_lab_of_white_black_and_gray() -> None:
    image = np.array([[[255, 255, 255], [0, 0, 0], [119, 119, 119]]], np.uint8)
    lab = appearance.lab(image)
    np.testing.assert_allclose(lab[0, 0], [1, 0, 0.5], atol=0.01)
    np.testing.assert_allclose(lab[1:], 0, atol=1e-3)


def test_positions_are_pixel_centers() -> None:
    place = appearance.positions((1, 4))
    np.testing.assert_allclose(place[1, 0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(place[0], 0)


def test_unit_and_relative_squares() -> None:
    np.testing.assert_allclose(appearance.unit(np.array([[3.0, 0.0], [4.0, 0.0]])), [[0.6, 0], [0.8, 0]])
    one, other = np.array([[0.0], [0.0]]), np.array([[1.0], [3.0]])
    np.testing.assert_allclose(appearance.relative_squares(one, other), [0.2, 1.8])
    np.testing.assert_allclose(appearance.relative_squares(one, one), 0)
    assert appearance.relative_squares(one[:0], one[:0]).shape == (0,)
