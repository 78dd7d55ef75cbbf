"""Labels of cells from activation maps and from masks, by hand."""

from __future__ import annotations

import typing

import numpy as np

from weakseg.masks.distillation import cells


def test_seed_labels_by_hand() -> None:
    seeds = np.array([[[0.0, 0.0, 1.0, 1.0]], [[1.0, 0.0, 0.0, 0.0]]])
    np.testing.assert_array_equal(cells.seed_labels(seeds[:1], 0.1, 0.0), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(cells.seed_labels(seeds, 0.1, 0.0), [[2, 0, 1, 1]])
    np.testing.assert_array_equal(cells.seed_labels(np.full((1, 1, 3), 0.4), 0.1, 0.0), [[-1, -1, -1]])
    np.testing.assert_array_equal(cells.seed_labels(np.zeros((0, 1, 3)), 0.1, 0.0), [[0, 0, 0]])


def test_seed_maps() -> None:
    scores, norm = np.array([[[1.0, 2.0, 3.0]]]), np.array([[4.0, 8.0, 4.0]])
    expected = {"product": [0, 0.5, 0], "cam": [0, 0.5, 1], "norm": [0, 1, 0], "norm_squared": [0, 1, 0]}
    assert sorted(expected) == sorted(typing.get_args(cells.Seeds))
    for kind, values in expected.items():
        np.testing.assert_allclose(cells.seed_maps(scores, norm, kind)[0, 0], values)
    assert cells.seed_maps(scores[:0], norm, "norm").shape == (0, 1, 3)


def test_share_labels_by_hand() -> None:
    mask = np.array([[1, 1, 0, 1, 2, 1], [1, 1, 0, 0, 2, 255]], np.uint8)
    np.testing.assert_array_equal(cells.share_labels(mask, (1, 3), 2), [[1, 0, -1]])


def test_renumber_labels_by_hand() -> None:
    np.testing.assert_array_equal(cells.renumber_labels(np.array([0, 1, 2, -1]), [4, 0]), [0, 5, 1, -1])
    np.testing.assert_array_equal(cells.renumber_labels(np.array([0, -1]), []), [0, -1])
