"""Every line of every preset sets a parameter that there is, to a value the stages accept."""

from __future__ import annotations

import shutil
import typing
from pathlib import Path

import pytest

from tests import closure, test_pipeline
from tests.test_architecture import BLOCKS, main_of
from weakseg.harness import params

PRESETS = sorted(path for path in (closure.ROOT / "presets").iterdir() if not path.name.startswith("sweep"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.name)
def test_a_preset_fits_the_parameters(preset: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(closure.ROOT / "params.yaml", path)
    test_pipeline.set_params(path, preset)
    for block in BLOCKS.values():
        model = typing.get_type_hints(main_of(block))["params"]
        params.load(model, Path(closure.stage_file(block)).stem, path)


def test_pets_and_cub_share_their_constants_up_to_the_distilled_maps(tmp_path: Path) -> None:
    """No data set has a distillation of its own."""
    sections = []
    for name in ("oxford_pets_cpu", "cub_cpu"):
        path = tmp_path / name
        shutil.copy(closure.ROOT / "params.yaml", path)
        test_pipeline.set_params(path, closure.ROOT / "presets" / name)
        whole = params.read(path)
        sections.append({key: whole[key] for key in ("train_classifier", "generate_cams", "distill_cams")})
    assert sections[0] == sections[1]
