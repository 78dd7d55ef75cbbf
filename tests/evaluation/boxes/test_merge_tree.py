"""The worked example of the module's docstring."""

from __future__ import annotations

import numpy as np

from weakseg.evaluation.boxes import basins, merge_tree

RANKS = np.array([[3, 1, 0, 2], [1, 1, 0, 2], [0, 0, 1, 0], [1, 0, 0, 0]], np.int32)
A, B, C = range(3)


def test_basins_of_the_worked_example():
    labels, peaks = basins.find_basins(RANKS, RANKS / 4, 8)
    assert labels.tolist() == [[A, A, B, B], [A, A, B, B], [A, A, B, B], [C, B, B, B]]
    assert [divmod(int(peak), 4) for peak in peaks] == [(0, 0), (0, 3), (3, 0)]


def test_passes_and_merges_of_the_worked_example():
    labels, peaks = basins.find_basins(RANKS, RANKS / 4, 8)
    passes = basins.find_passes(RANKS, labels, 3, 8)
    assert passes.tolist() == [[1, A, B], [0, A, C], [0, B, C]]
    assert list(merge_tree.find_merges(passes, RANKS.ravel()[peaks])) == [(1, A, B), (0, A, C)]


def test_components_of_the_worked_example():
    pixels = np.arange(RANKS.size), RANKS.ravel()
    found = merge_tree.find_components(RANKS, RANKS / 4, 3, 8, pixels)
    assert found.alive.tolist() == [[True, True, True], [False, True, False], [True, False, False]]
    assert found.boxes[A].T.tolist() == [[0, 0, 4, 3], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert (found.boxes[B, :, 1].tolist(), found.boxes[C, :, 0].tolist()) == ([3, 0, 4, 2], [0, 3, 1, 4])
    assert (found.mass[A].tolist(), found.mass[B, 1], found.mass[C, 0]) == ([7, 1, 1], 2, 1)
    boxes, top, most = found.pick_heaviest()
    assert (top.tolist(), most.tolist()) == ([A, B, A], [7, 2, 1])
    assert boxes.tolist() == [[0, 0, 4, 3], [3, 0, 4, 2], [0, 0, 1, 1]]
