"""compute_superpixels on drawn squares: ids that follow the square, determinism, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages import compute_superpixels
from tests.contents import content
from tests.world import World
from weakseg.artifacts.formats import zips
from weakseg.errors import UserError

SMALL = {"count": 40, "longest": 64}
WORLD = World()


def test_segments_follow_the_square_and_are_deterministic(
    tmp_path: Path, stage_params: Callable, forget: Callable
) -> None:
    paths, out = WORLD.write(tmp_path, "images", "labels"), tmp_path / "superpixels"
    params = stage_params(compute_superpixels, **SMALL)
    scores = compute_superpixels.main(params, **paths, out=out).scores
    written = content(out)
    for kept in (True, False):
        if not kept:
            forget()
        compute_superpixels.main(params, **paths, out=out)
        assert content(out) == written
    assert scores["images"] == 6 and 5 < scores["superpixels_mean"] < 80
    segments = zips.Segments(out).segments("a")
    assert segments.shape == WORLD.shape
    shares = [WORLD.square("a")[segments == one].mean() for one in np.unique(segments)]
    assert np.mean([min(share, 1 - share) for share in shares]) < 0.1


def test_bad_input_names_itself(tmp_path: Path, stage_params: Callable) -> None:
    paths, out = WORLD.write(tmp_path, "images", "labels"), tmp_path / "superpixels"
    with pytest.raises(UserError, match=r"compute_superpixels\.count is 'many'"):
        stage_params(compute_superpixels, count="many")
    with zips.ArchiveWriter(paths["images"]) as writer:
        for name in WORLD.names:
            writer.add_bytes(f"{name}.png", b"no image")
    with pytest.raises(UserError, match="image 'a' cannot be read"):
        compute_superpixels.main(stage_params(compute_superpixels, **SMALL), **paths, out=out)
    assert not out.exists()
