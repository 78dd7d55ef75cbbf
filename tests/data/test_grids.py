"""Maps on grids: resizing, min-max, and from scores to masks, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.data import grids


def test_resize_keeps_means_when_it_shrinks_and_aligns_centers_when_it_grows() -> None:
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    np.testing.assert_allclose(grids.resize(maps, (2, 2))[0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_allclose(grids.resize(np.array([[[0.0, 4.0]]]), (1, 4))[0, 0], [0, 1, 3, 4])
    assert grids.resize(np.zeros((0, 2, 2)), (5, 6)).shape == (0, 5, 6)


def test_bound() -> None:
    assert grids.bound((100, 50), 20) == (20, 10)
    assert grids.bound((10, 5), 20) == (10, 5)
    assert grids.bound((1000, 1), 10) == (10, 1)


def test_minmax_and_flat_maps() -> None:
    maps = np.array([[[1.0, 3.0]], [[2.0, 2.0]]])
    np.testing.assert_allclose(grids.minmax(maps), [[[0, 1]], [[0, 0]]])


def test_decide_by_hand() -> None:
    scores = np.array([[[3.0, -1.0, 0.4, 2.0]], [[1.0, -2.0, -3.0, 1.9]]])
    np.testing.assert_array_equal(grids.decide(scores, 0.0, 0.0), [[1, 0, 1, 1]])
    np.testing.assert_array_equal(grids.decide(scores, 0.0, 0.5), [[1, 0, 255, 255]])
    np.testing.assert_array_equal(grids.decide(scores, 2.5, 0.0), [[1, 0, 0, 0]])
    np.testing.assert_array_equal(grids.decide(np.zeros((0, 1, 2)), 0.0, 1.0), [[0, 0]])


def test_split_by_class_and_ignore_disputed() -> None:
    inside = np.array([[True, True, False]])
    np.testing.assert_array_equal(grids.split_by_class(inside, np.array([[[2.0, 0, 9]], [[1.0, 3, 0]]])), [[1, 2, 0]])
    np.testing.assert_array_equal(grids.split_by_class(inside, np.zeros((0, 1, 3))), [[0, 0, 0]])
    masks = np.array([[1, 0, 255, 1]], np.uint8), np.array([[1, 1, 0, 255]], np.uint8)
    np.testing.assert_array_equal(grids.ignore_disputed(*masks), [[1, 255, 255, 255]])


def test_resize_ids_takes_the_nearest_center() -> None:
    np.testing.assert_array_equal(grids.resize_ids(np.array([[0, 1]]), (1, 4)), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(grids.resize_ids(np.arange(4)[None], (1, 2)), [[1, 3]])


@pytest.mark.parametrize("old", [1, 2, 3, 7, 96, 224, 333])
@pytest.mark.parametrize("new", [1, 2, 5, 64, 224, 1000, 5333])
def test_resize_ids_takes_the_pixel_whose_area_holds_the_center(old: int, new: int) -> None:
    ids = np.arange(old)[None]
    expected = [(2 * place + 1) * old // (2 * new) for place in range(new)]
    assert grids.resize_ids(ids, (1, new))[0].tolist() == expected
    assert grids.resize_ids(ids.T, (new, 1))[:, 0].tolist() == expected
