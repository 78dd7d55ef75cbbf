"""No mask leaks: nothing weak was made from ground truth, in the graph as DVC resolves it and by imports."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from tests import closure
from tests.promises import WEAK

ROOT = closure.ROOT
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
TRUTH = "weakseg/artifacts/truth.py"
TRUTH_READERS = {"train_control", "evaluate_masks", "evaluate_boxes"}
LIBRARY = sorted(closure.rel(path) for path in (ROOT / "weakseg").rglob("*.py") if path.name != "__init__.py")


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dvc.yaml and params.yaml in a repository of their own."""
    folder = tmp_path_factory.mktemp("drawing")
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        subprocess.run(command, cwd=folder, check=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def resolved(folder: Path, **changes: Any) -> Iterator[tuple[str, set[str], set[str]]]:
    """Every stage as DVC resolves it with changed parameters: its name, the paths it reads and those it writes."""
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS | changes))
    for item in Repo(str(folder)).index.stages:
        reads = {dep.def_path for dep in item.deps if type(dep).__name__ == "Dependency"}
        yield item.name, reads, {out.def_path for out in item.outs}


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one a folder that holds the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def origins(found: list[tuple[str, set[str], set[str]]], path: str, seen: set[str]) -> set[str]:
    """Everything a path was made from, through all stages."""
    if path not in seen:
        seen.add(path)
        for _, reads, writes in found:
            if any(overlap(path, out) for out in writes):
                for dependency in reads:
                    origins(found, dependency, seen)
    return seen


@pytest.mark.parametrize("weights_from", ["classifier", "crm"])
@pytest.mark.parametrize("source", ["cams", "distilled"])
def test_no_ground_truth_above_a_weak_artifact(drawing: Path, weights_from: str, source: str) -> None:
    changes = {"weights_from": weights_from, "refine_masks": PARAMS["refine_masks"] | {"source": source}}
    found = list(resolved(drawing, **changes))
    weak = [(name, writes) for name, _, writes in found if name.split("@")[0] in WEAK]
    assert len(weak) == 3 * len(PARAMS["networks"]) + 3
    for name, writes in weak:
        for out in writes:
            guilty = {path for path in origins(found, out, set()) if path.startswith("data/truth")}
            assert not guilty, f"{out} of {name} was made from {guilty}"


def test_the_walk_finds_a_leak_where_there_is_one(drawing: Path) -> None:
    found = list(resolved(drawing))
    assert "data/truth/masks" in origins(found, "models/control", set())
    leaky = [
        (name, reads | ({"data/truth/masks"} if name == "refine_masks" else set()), outs) for name, reads, outs in found
    ]
    assert "data/truth/masks" in origins(leaky, "models/segmenter", set())


def test_only_control_and_evaluations_read_ground_truth(drawing: Path) -> None:
    readers = {
        name.split("@")[0] for name, reads, _ in resolved(drawing) if any(p.startswith("data/truth") for p in reads)
    }
    assert readers == TRUTH_READERS


def test_maps_of_the_labels_of_test_images_serve_the_evaluation_of_boxes_alone(drawing: Path) -> None:
    known = [(name, reads) for name, reads, _ in resolved(drawing) if any("data/known_cams" in path for path in reads)]
    assert {name.split("@")[0] for name, _ in known} == {"evaluate_boxes"} and len(known) == len(PARAMS["networks"])


def test_truth_is_behind_its_own_door() -> None:
    importers = {path for path in LIBRARY if TRUTH in closure.imports(path)}
    assert importers and all(path.startswith(("weakseg/data/datasets/", "weakseg/evaluation/")) for path in importers)
