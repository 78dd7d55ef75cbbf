"""Superpixels drawn on images: which pixels are borders, and that ids do not matter."""

from __future__ import annotations

import numpy as np

from weakseg.figures import segments
from weakseg.figures.drawing.pictures import YELLOW

GRAY = np.full((4, 6, 3), 100, np.uint8)


def test_borders_are_one_pixel_wide_at_known_places() -> None:
    ids = np.zeros((4, 6), np.uint16)
    ids[:, 3:], ids[2:, :3] = 7, 65_535
    expected = np.zeros((4, 6), bool)
    expected[:, 2] = True
    expected[1, :3] = True
    np.testing.assert_array_equal(segments.find_borders(ids), expected)
    picture = segments.draw_segments(GRAY, ids)
    assert picture.shape == GRAY.shape and picture.dtype == np.uint8
    np.testing.assert_array_equal((picture == YELLOW).all(-1), expected)
    assert (picture[~expected] == 100).all() and (GRAY == 100).all()


def test_one_segment_has_no_border() -> None:
    assert (segments.draw_segments(GRAY, np.full((4, 6), 3)) == GRAY).all()
