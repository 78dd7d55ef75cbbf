"""Superpixels: values by hand, and SLIC's contract on large and degenerate images."""

from __future__ import annotations

import numpy as np

from weakseg.masks import superpixels

SEGMENTS = np.array([[0, 0, 1], [0, 2, 1], [2, 2, 1]])


def test_average_and_paint_by_hand() -> None:
    values = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    means = superpixels.average(values, SEGMENTS)
    np.testing.assert_allclose(means[:, 0], [4 / 3, 15 / 3, 17 / 3], rtol=1e-6)
    np.testing.assert_array_equal(superpixels.paint(means, SEGMENTS)[0], means[:, 0][SEGMENTS])


def test_average_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    segments, values = rng.integers(0, 7, (9, 11)), rng.normal(size=(3, 9, 11)).astype(np.float32)
    expected = [[values[k][segments == s].mean() for k in range(3)] for s in range(7)]
    np.testing.assert_allclose(superpixels.average(values, segments), expected, rtol=1e-5)


def test_average_of_no_map_and_of_an_absent_id() -> None:
    assert superpixels.average(np.zeros((0, 3, 3)), SEGMENTS).shape == (3, 0)
    assert superpixels.average(np.ones((1, 1, 2)), np.array([[0, 2]]))[1, 0] == 0


def test_find_neighbors_by_hand() -> None:
    np.testing.assert_array_equal(superpixels.find_neighbors(SEGMENTS), [[0, 1], [0, 2], [1, 2]])
    assert superpixels.find_neighbors(np.zeros((2, 2), int)).shape == (0, 2)


def test_smooth_removes_specks_and_fills_holes() -> None:
    mask = np.zeros((12, 14), bool)
    mask[3:10, 3:11] = True
    noisy = mask.copy()
    noisy[1, 5], noisy[6, 6] = True, False
    np.testing.assert_array_equal(superpixels.smooth(noisy, 0), noisy)
    np.testing.assert_array_equal(superpixels.smooth(noisy, 1), mask)


def test_smooth_keeps_full_and_empty() -> None:
    for value in (True, False):
        np.testing.assert_array_equal(superpixels.smooth(np.full((4, 5), value), 2), np.full((4, 5), value))


def test_slic_follows_colors_and_is_deterministic() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = (255, 0, 0)
    one, two = (superpixels.slic(image, count=12, compactness=10.0, longest=100) for _ in range(2))
    assert one.dtype == np.uint16 and one.shape == (40, 60)
    np.testing.assert_array_equal(one, two)
    assert set(np.unique(one)) == set(range(one.max() + 1))
    assert not set(one[:, :29].ravel()) & set(one[:, 31:].ravel())


def test_slic_bounds_large_images_and_accepts_one_pixel() -> None:
    rows, columns = np.mgrid[0:2000, 0:1200]
    large = np.stack([rows // 200 * 20, columns // 200 * 40, rows // 8 % 2], -1).astype(np.uint8)
    segments = superpixels.slic(large, count=50, compactness=10.0, longest=100)
    assert segments.shape == (2000, 1200) and 10 < segments.max() < 100
    assert (superpixels.slic(np.full((1, 1, 3), 7, np.uint8), count=5, compactness=10.0, longest=10) == 0).all()
    assert superpixels.slic(np.full((16, 16, 3), 7, np.uint8), count=4, compactness=10.0, longest=16).shape == (16, 16)
