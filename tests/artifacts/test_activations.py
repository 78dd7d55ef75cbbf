"""Archives of activation values: what a map loses on its way to disk and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weakseg.artifacts.activations import CamEntry, Cams, CamsWriter


@pytest.mark.parametrize(("scale", "kind"), [(1.0, "f2"), (1e-3, "f2"), (0.0, "f2"), (1e-5, "f4"), (1e-12, "f4")])
def test_a_faint_map_keeps_its_shape(tmp_path: Path, scale: float, kind: str) -> None:
    scores = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    scores *= np.float32(scale) / np.abs(scores).max()
    plain = np.ones((3, 5, 6), np.float32)
    with CamsWriter(tmp_path / "cams") as writer:
        writer.add("a", CamEntry(scores, np.array([0, 2]), plain[0], plain))
        writer.add("b", CamEntry(scores[:0], np.array([]), plain[0], plain))
    archive = Cams(tmp_path / "cams")
    found = archive.cams("a").scores
    assert found.dtype == np.float32 and archive.cams("b").scores.shape == (0, 5, 6)
    np.testing.assert_allclose(found, scores, rtol=1e-2 if kind == "f2" else 0, atol=2e-7 if kind == "f2" else 0)
    assert (f"<{kind}".encode() in archive.read("a")) and kind in ("f2", "f4")
