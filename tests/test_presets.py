"""Every preset, alone and in the stacks that the README names, gives legal parameters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import stages
from tests.closure import ROOT
from tests.parameters import apply_presets
from weakseg.harness import checked_params, params, stage

PRESETS = sorted(path.name for path in (ROOT / "presets").iterdir() if not path.name.startswith("sweep"))
ON_PETS = [name for name in PRESETS if name.startswith(("system2", "system3", "system0", "system1"))]
STACKS = [
    *([name] for name in PRESETS if name not in ON_PETS),
    *(["two_cores", name] for name in ("oxford_pets", "cub", "imagenette")),
    ["one_gpu", "oxford_pets"],
    *(["two_cores", "oxford_pets", name] for name in ON_PETS),
]


@pytest.mark.parametrize("stack", STACKS, ids=" ".join)
def test_a_stack_of_presets_is_legal(stack: list[str], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    apply_presets(path, *stack)
    assert checked_params.check_all(params.read(path), stage.all_params(stages)) == []


def test_no_preset_for_cpus_asks_for_bf16() -> None:
    for name in PRESETS:
        assert name == "one_gpu" or "bf16" not in (ROOT / "presets" / name).read_text()


def test_tasks_hold_no_number_of_a_network() -> None:
    """Pets, CUB and Imagenette share every constant of classifier, maps and distillation: those of the machine."""
    for name in ("oxford_pets", "cub", "imagenette"):
        text = (ROOT / "presets" / name).read_text()
        assert not any(section in text for section in ("train_classifier", "generate_cams", "distill_cams", "networks"))
