"""The sheet of superpixels and their votes: colors at known places, and an image without a class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tests.world import CELL, World, save_cams
from weakseg.artifacts import activations
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.masks import IGNORE, Masks, MaskWriter
from weakseg.data import grids
from weakseg.figures.drawing.heat import blend
from weakseg.figures.drawing.pictures import YELLOW
from weakseg.figures.segments import find_borders
from weakseg.masks import pictures
from weakseg.masks.pseudomasks import UNIT
from weakseg.masks.refinement import Method, Recipe, Refinement
from weakseg.masks.refiners import superpixel_vote
from weakseg.masks.sources import Sources

WORLD = World()
RECIPE = Recipe(source="distilled", threshold_scope="image", pooled_images=9, least_foreground=0.0, most_foreground=0.5)


def refinement(folder: Path, **entries: activations.CamEntry) -> Refinement:
    """Superpixels that are the cells vote on distilled maps, some of them given here."""
    paths = WORLD.write(folder, "images", "superpixels", "distilled")
    if entries:
        save_cams(paths["distilled"], {name: WORLD.entry(name, -4.0, 4.0) for name in WORLD.names} | entries)
    archives = (zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), activations.Cams(paths["distilled"]))
    vote = partial(superpixel_vote.refine, band=0.0, radius=0)
    return Refinement(Sources(*archives), RECIPE, Method(lambda maps: 0.5, None, vote, None))


def test_the_mean_of_a_superpixel_has_its_color_and_the_mask_its_side(tmp_path: Path) -> None:
    work = refinement(tmp_path)
    row, captions = pictures.draw_row(work, work("a").kept, "a")
    assert all(picture.shape == (*WORLD.shape, 3) and picture.dtype == np.uint8 for picture in row)
    assert captions == ["a", f"{WORLD.height * WORLD.width // CELL**2} superpixels", "", "", ""]
    image, outlined, _, voted, mask = row
    logits = grids.resize(WORLD.entry("a", -4.0, 4.0).scores, WORLD.shape)[0]
    inside = find_borders(WORLD.segments()) == 0
    for number in np.unique(WORLD.segments()):
        cell = WORLD.segments() == number
        mean = logits[cell].mean()
        expected = blend(image, np.full(WORLD.shape, 1 / (1 + np.exp(-mean / UNIT))))
        assert np.abs(voted[cell & inside].astype(int) - expected[cell & inside]).max() <= 1
        assert (mask[cell] != image[cell]).any() == (mean > 0)
    assert (outlined[inside] == image[inside]).all() and (outlined[~inside] == YELLOW).all()


def test_equal_values_in_a_superpixel_are_their_own_mean(tmp_path: Path) -> None:
    flat = activations.CamEntry(
        np.full((1, 8, 10), -0.5, np.float32), np.array([0]), np.zeros((1, 1)), np.zeros((0, 1, 1))
    )
    work = refinement(tmp_path, a=flat)
    row, _ = pictures.draw_row(work, work("a").kept, "a")
    np.testing.assert_array_equal(row[2], blend(row[0], np.full(WORLD.shape, 1 / (1 + np.exp(0.5 / UNIT)))))
    inside = find_borders(WORLD.segments()) == 0
    np.testing.assert_array_equal(row[3][inside], row[2][inside])


def test_an_image_without_a_class_is_drawn_too(tmp_path: Path) -> None:
    nothing = activations.CamEntry(
        np.zeros((0, 8, 10), np.float32), np.zeros(0, np.int64), np.zeros((1, 1)), np.zeros((0, 1, 1))
    )
    work = refinement(tmp_path, a=nothing)
    row, _ = pictures.draw_row(work, work("a").kept, "a")
    np.testing.assert_array_equal(row[2], blend(row[0], np.zeros(WORLD.shape)))
    with MaskWriter(tmp_path / "kept") as writer:
        writer.add("a", work("a").kept)
        writer.add("b", np.full(WORLD.shape, IGNORE))
    one, two = (pictures.draw_votes(work, Masks(tmp_path / "kept"), ids) for ids in (["a"], ["a", "b"]))
    assert two.shape[0] > one.shape[0] and two.shape[1] == one.shape[1]
