"""Drawn animals: fair, deterministic, and told by the head alone."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.data.sources import drawing

KINDS = sorted(drawing.KINDS)


def drawings(count: int, size: int = 96) -> list[drawing.Drawing]:
    """The first drawings of a seed."""
    return [drawing.draw(KINDS[n % 6], size, np.random.default_rng([5, n])) for n in range(count)]


@pytest.mark.parametrize("size", [48, 96, 131])
def test_shapes_and_parts(size: int) -> None:
    for drawn in drawings(6, size):
        assert drawn.image.shape == (size, size, 3) and drawn.image.dtype == np.uint8
        assert drawn.animal.shape == drawn.head.shape == (size, size)
        assert drawn.head.any() and not (drawn.head & ~drawn.animal).any()


def test_sizes_are_those_of_a_small_head_on_a_whole_body() -> None:
    many = drawings(60)
    areas = np.array([drawn.animal.mean() for drawn in many])
    heads = np.array([drawn.head.sum() / drawn.animal.sum() for drawn in many])
    assert areas.min() > 0.06 and 0.12 < areas.mean() < 0.22 and areas.max() < 0.35
    assert heads.min() > 0.15 and heads.max() < 0.45


def test_kinds_differ_in_the_mark_alone() -> None:
    pictures = [drawing.draw(kind, 96, np.random.default_rng(7)) for kind in KINDS]
    for drawn in pictures[1:]:
        changed = (drawn.image != pictures[0].image).any(-1)
        assert changed.any() and not (changed & ~drawn.head).any()
        np.testing.assert_array_equal(drawn.animal, pictures[0].animal)


def test_body_stands_off_the_background_in_color_or_texture() -> None:
    for drawn in drawings(20):
        body = drawn.animal & ~drawn.head
        background = drawn.image[~drawn.animal].mean(0)
        assert np.linalg.norm(drawn.image[body].mean(0) - background) > 60


def test_generator_alone_decides() -> None:
    one, two = (drawing.draw(KINDS[0], 64, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)


def test_cover_and_capsule_by_hand() -> None:
    np.testing.assert_allclose(drawing.cover(np.array([-2.0, -0.25, 0.0, 0.25, 2.0])), [1, 0.75, 0.5, 0.25, 0])
    x, y = np.array([[0.0, 3.0, 5.0]]), np.array([[2.0, -3.0, 0.0]])
    distance = drawing.capsule(x, y, np.array((0.0, 0.0)), np.array((4.0, 0.0)), 1.0)
    np.testing.assert_allclose(distance, [[1.0, 2.0, 0.0]])
