"""compute_superpixels on drawn squares: ids that follow the square, determinism, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages import compute_superpixels
from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import zips
from weakseg.errors import UserError
from weakseg.harness import params

SECTION = {"count": 40, "compactness": 10.0, "longest": 64}


def section(**changes: object) -> compute_superpixels.Params:
    whole = {"compute_superpixels": {**SECTION, **changes}}
    return params.check(compute_superpixels.Params, "compute_superpixels", whole, Path("params.yaml"))


def test_segments_follow_the_square_and_are_deterministic(tmp_path: Path) -> None:
    paths = drawn_chain.write(tmp_path)
    given = {name: paths[name] for name in ("images", "labels")}
    out = tmp_path / "superpixels.zip"
    metrics = compute_superpixels.main(section(), **given, out=out)
    content = out.read_bytes()
    compute_superpixels.main(section(), **given, out=out)
    assert out.read_bytes() == content
    assert metrics["images"] == 6 and 5 < metrics["superpixels_mean"] < 80
    segments = zips.Segments(out).segments("a")
    assert segments.shape == drawn_chain.SHAPE
    square = np.zeros(drawn_chain.SHAPE, bool)
    square[drawn_chain.SQUARE] = True
    shares = [square[segments == one].mean() for one in np.unique(segments)]
    assert np.mean([min(share, 1 - share) for share in shares]) < 0.1


def test_bad_input_names_itself(tmp_path: Path) -> None:
    paths = drawn_chain.write(tmp_path)
    out = tmp_path / "superpixels.zip"
    with pytest.raises(UserError, match="count"):
        section(count="many")
    with zips.archive_writer(tmp_path / "bad.zip") as writer:
        for name in drawn_chain.IDS:
            writer.add_bytes(f"{name}.png", b"no image")
    with pytest.raises(UserError, match="image 'a' cannot be read"):
        compute_superpixels.main(section(), images=tmp_path / "bad.zip", labels=paths["labels"], out=out)
    assert not out.exists()
