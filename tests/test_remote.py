"""By docs/scale.md: what one clone has pushed to a folder, another takes from there instead of computing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.closure import ROOT
from tests.contents import content
from tests.parameters import apply_presets

COPIED = ("stages", "studies", "weakseg", "dvc.yaml", "params.yaml", ".dvcignore")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
LAST = "compute_superpixels"  # stages that need no network are enough here
WRITTEN = ("data/superpixels", "data/labels.csv", "report/tables/compute_superpixels.csv")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the first stages have run on a few drawn images, pushed to a folder beside it."""
    folder = tmp_path_factory.mktemp("remote") / "first"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "dvc.*"))
        else:
            shutil.copy(source, folder / name)
    apply_presets(folder / "params.yaml", "smoke")
    for command in ("git init --quiet", "dvc init --quiet", f"dvc repro {LAST}"):
        run(folder, *command.split())
    run(folder, "dvc", "remote", "add", "--default", "shared", str(folder.parent / "shared"))
    run(folder, "dvc", "push", "--run-cache")
    run(folder, "git", "add", "--all")
    person = ("-c", "user.name=one", "-c", "user.email=one@example.org")
    run(folder, "git", *person, "commit", "--quiet", "--message", "ran")
    return folder


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Path:
    run(tmp_path, "git", "clone", "--quiet", str(project), "clone")
    assert not (tmp_path / "clone" / WRITTEN[0]).exists()
    return tmp_path / "clone"


def test_a_second_clone_pulls_and_has_nothing_to_do(project: Path, clone: Path) -> None:
    run(clone, "dvc", "pull", "--run-cache", "--with-deps", LAST)
    assert "Running stage" not in run(clone, "dvc", "repro", LAST)
    for path in WRITTEN:
        assert content(clone / path) == content(project / path)


def test_the_run_cache_knows_what_stands_in_no_lock_file(project: Path, clone: Path) -> None:
    """As for an experiment that another has run and pushed, but not committed."""
    (clone / "dvc.lock").unlink()
    run(clone, "dvc", "fetch", "--run-cache")
    told = run(clone, "dvc", "repro", "--pull", LAST)
    assert "Running stage" not in told and f"'{LAST}' is cached" in told, told
    for path in WRITTEN:
        assert content(clone / path) == content(project / path)


def test_an_experiment_in_a_temporary_folder_keeps_its_items_with_the_project(project: Path) -> None:
    kept = project / ".cache" / LAST
    before = set(kept.iterdir())
    run(project, "dvc", "exp", "run", "--temp", "-S", f"{LAST}.count=30", LAST)
    (new,) = set(kept.iterdir()) - before
    assert (new / "items").stat().st_size > 1000
