"""Silhouettes: strokes shared by all kinds, an object that is whole, and nothing but the layout that tells the kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from weakseg.data.sources import strokes

KINDS = sorted(strokes.KINDS)


def draw(kind: str, number: int, size: int = 64) -> strokes.Silhouette:
    return strokes.draw(kind, size, np.random.default_rng([7, number]))


@pytest.mark.parametrize("kind", KINDS)
def test_one_connected_object_inside_the_image(kind: str) -> None:
    for number in range(20):
        mask = draw(kind, number).mask
        assert ndimage.label(mask)[1] == 1
        sides = np.ptp(np.argwhere(mask), axis=0) + 1
        assert strokes.SIDES[0] * 64 - 2 <= sides.max() <= 64 * strokes.SIDES[1] + 1


def test_sizes_vary_more_than_fivefold_and_no_kind_has_sizes_of_its_own() -> None:
    shares = np.array([[draw(kind, n).mask.mean() for n in range(60)] for kind in KINDS])  # (kinds, images)
    assert shares.max() > 5 * shares.min() and shares.min() > 0.03 and shares.max() > 0.35
    medians = np.median(shares, 1)[:, None]
    assert ((shares.min(1) < medians) & (medians < shares.max(1))).all()


def test_color_of_object_and_background_tell_nothing() -> None:
    """The nearest mean color of a kind's objects, or of its backgrounds, names the kind no better than chance."""
    means = np.array(
        [[draw(kind, 100 * k + n).image[mask].mean(0) for n in range(40)] for k, kind in enumerate(KINDS)
         for mask in [draw(kind, 100 * k).mask]]
    )  # fmt: skip
    for values in (means, means[..., ::-1]):
        centers = values[:, :20].mean(1)
        guesses = np.linalg.norm(values[:, 20:, None] - centers, axis=-1).argmin(-1)
        assert (guesses == np.arange(len(KINDS))[:, None]).mean() < 0.4


def test_the_image_is_the_generators_alone() -> None:
    one, same, other = draw("tee", 1), draw("tee", 1), draw("tee", 2)
    assert (one.image == same.image).all() and (one.mask == same.mask).all() and (one.image != other.image).any()


def test_figures_are_whole_in_the_layout() -> None:
    """Ends that strokes share are still shared after jitter and turn."""
    ends, radius = strokes.lay_out("zed", np.random.default_rng(0))
    assert ends.shape == (3, 2, 2) and strokes.THICKNESS[0] <= radius <= strokes.THICKNESS[1]
    assert (ends[0, 1] == ends[1, 0]).all() and (ends[1, 1] == ends[2, 0]).all()
