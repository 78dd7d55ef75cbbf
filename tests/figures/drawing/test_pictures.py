"""Pictures: shapes, colors at known pixels, and the same bytes twice."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from matplotlib import colormaps

from weakseg.figures.drawing import heat, pictures, sheets

GRAY = np.full((40, 60, 3), 100, np.uint8)


def digest(picture: np.ndarray) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def test_heat_ends_are_the_ends_of_the_color_map():
    picture = heat.draw_heat(GRAY, np.array([[0.0, 1.0]]))
    assert picture.shape == GRAY.shape and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [48, 18, 59]
    assert picture[0, -1].tolist() == [122, 4, 3]


def test_heat_is_turbo():
    ramp = np.arange(256)[None] / 255
    theirs = 255 * colormaps["turbo"](np.arange(256))[:, :3]
    assert np.abs(heat.draw_heat(np.zeros((1, 256, 3), np.uint8), ramp)[0] - theirs).max() <= 1


def test_heat_clips_and_draws_nan_as_zero():
    wild = heat.draw_heat(GRAY, np.array([[-3.0, np.nan], [7.0, np.inf]]))
    tame = heat.draw_heat(GRAY, np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert wild[0, 0].tolist() == tame[0, 0].tolist() and wild[-1, -1].tolist() == tame[-1, -1].tolist()


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, [100, 100, 100]), (1.0, [48, 18, 59])])
def test_blend_goes_from_the_image_to_the_heat(opacity: float, expected: list[int]):
    assert heat.blend(GRAY, np.zeros((3, 3)), opacity)[5, 5].tolist() == expected


def test_mask_leaves_background_and_paints_classes():
    ids = np.zeros((40, 60), np.uint8)
    ids[:, 20:40], ids[:, 40:] = 1, 255
    picture = pictures.draw_mask(GRAY, ids, opacity=0.5)
    assert picture[20, 5].tolist() == [100, 100, 100]
    assert picture[20, 30].tolist() == np.rint((pictures.CLASSES[0] + 100.0) / 2).astype(int).tolist()
    assert picture[20, 55].tolist() == [178, 178, 178]
    assert picture[20, 20].tolist() == pictures.CLASSES[0].tolist()


@pytest.mark.parametrize(("side", "reach"), [(40, 1), (400, 2), (1000, 5)])
def test_outlines_grow_with_the_image(side: int, reach: int):
    ids = np.zeros((8, side), np.uint8)
    ids[:, side // 2 :] = 1
    gray = np.full((8, side, 3), 100, np.uint8)
    full = (pictures.draw_mask(gray, ids) == pictures.CLASSES[0]).all(-1)
    assert full[4].nonzero()[0].tolist() == list(range(side // 2, side // 2 + reach))


def test_mask_of_another_size_is_resized():
    assert pictures.draw_mask(GRAY, np.ones((4, 6), np.uint8)).shape == GRAY.shape


def test_colors_repeat_after_ten():
    colors = pictures.color_ids(np.array([1, 11, 2, 255]))
    assert colors[0].tolist() == colors[1].tolist() != colors[2].tolist()
    assert colors[3].tolist() == [255, 255, 255]


def test_boxes_are_half_open_and_clipped():
    picture = pictures.draw_boxes(GRAY, np.array([[10, 5, 20, 15], [-9, -9, 0, 5], [50, 30, 99, 99]]), width=1)
    yellow = (picture == [255, 221, 0]).all(-1)
    assert yellow[5, 10] and yellow[14, 19] and not yellow[15, 20]
    assert not yellow[:5, :5].any() and yellow[-1, -1]
    assert (GRAY == 100).all()


def test_no_boxes_change_nothing():
    assert (pictures.draw_boxes(GRAY, np.zeros((0, 4))) == GRAY).all()


def test_a_sheet_fits_unequal_rows_and_cuts_long_titles():
    rows = [[GRAY, GRAY.transpose(1, 0, 2), None], [GRAY]]
    picture = sheets.lay_out(rows, titles=["a", "b" * 90], row_titles=["first", "second"], captions=[["x"] * 3, ["y"]])
    assert picture.dtype == np.uint8 and picture.ndim == 3
    assert (picture[-1] == 255).all()
    assert sheets.lay_out([]).shape[2] == 3


def test_the_same_picture_twice_has_the_same_bytes():
    def draw() -> np.ndarray:
        y, x = np.mgrid[:40, :60]
        image = np.stack([x, y, x], -1).astype(np.uint8)
        map_ = np.outer(np.linspace(0, 1, 5), np.linspace(0, 1, 5))
        ids = (x > 30).astype(np.uint8)
        cells = [
            heat.blend(image, map_),
            pictures.draw_mask(image, ids),
            pictures.draw_boxes(image, np.array([[1, 1, 9, 9]])),
        ]
        return sheets.lay_out([cells], titles=["map", "mask", "boxes"])

    assert digest(draw()) == digest(draw())
