"""measure_erf on a small network: every number, its files, any size, the same bytes, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import measure_erf
from tests.stages import drawn_maps
from weakseg.errors import UserError
from weakseg.harness import params

SECTION = {
    "central_size": 48,
    "central_images": 3,
    "saliency_size": 40,
    "saliency_images": 4,
    "saliency_share": 0.2,
    "batch_size": 2,
}


def section(**changes: object) -> measure_erf.Params:
    whole = {"seed": 1, "measure_erf": {**SECTION, **changes}}
    return params.check(measure_erf.Params, "measure_erf", whole, Path("params.yaml"))


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    drawn = drawn_maps.write(tmp_path)
    drawn_maps.write_classifier(tmp_path / "classifier.safetensors")
    found = {name: drawn[name] for name in ("images", "labels")} | {"classifier": tmp_path / "classifier.safetensors"}
    return found | {"out": tmp_path / "erf.npz", "areas": tmp_path / "erf.csv", "picture": tmp_path / "erf.png"}


def test_numbers_and_files(paths: dict[str, Path]):
    metrics = measure_erf.main(section(), **paths)
    areas = [metrics[f"central_area_{share}"] for share in (20, 30, 50, 99)]
    assert areas == sorted(areas) and areas[0] > 0 and areas[-1] <= 1
    assert metrics["images"] == 4 and metrics["parameters"] > 0 and metrics["flops"] > 0
    assert metrics["saliency_share"] == pytest.approx(metrics["saliency_pixels"] / 40**2)
    assert {
        "anisotropy",
        "crossness",
        "random_central_area_50",
        "random_saliency_side",
        "central_offset_x",
        "central_log_area_99",
    } <= set(metrics)
    with np.load(paths["out"]) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "central_trained": (48, 48),
            "saliency_trained": (40, 40),
            "central_random": (48, 48),
            "saliency_random": (40, 40),
        }
        assert not np.array_equal(arrays["central_trained"], arrays["central_random"])
    table = pd.read_csv(paths["areas"])
    assert list(table["image_id"]) == drawn_maps.IDS[8:]
    assert table["saliency_pixels"].mean() == metrics["saliency_pixels"]
    assert np.allclose(table["saliency_side"] ** 2, table["saliency_pixels"])


def test_same_input_same_bytes(paths: dict[str, Path]):
    first = measure_erf.main(section(), **paths)
    written = [paths[name].read_bytes() for name in ("out", "areas", "picture")]
    assert measure_erf.main(section(), **paths) == first
    assert [paths[name].read_bytes() for name in ("out", "areas", "picture")] == written


def test_any_size_and_batch(paths: dict[str, Path]):
    one = measure_erf.main(section(central_size=45, batch_size=1), **paths)
    other = measure_erf.main(section(central_size=45, batch_size=3), **paths)
    assert one["central_area_50"] == other["central_area_50"]
    assert one["saliency_pixels"] == pytest.approx(other["saliency_pixels"], rel=0.02)


def test_bad_numbers_are_refused(paths: dict[str, Path]):
    for changes, message in (
        ({"saliency_share": 1.0}, "give a share in"),
        ({"saliency_images": 0}, "no image to measure on"),
        ({"central_size": 4}, "smaller than the network's stride"),
    ):
        with pytest.raises(UserError, match=message):
            measure_erf.main(section(**changes), **paths)
