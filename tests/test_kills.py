"""SIGKILL at any moment of any long stage, then the same command: the same bytes as of a run that was never killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests import few_images, killing

CHANGES = [
    "weights_from=crm",
    "train_crm.epochs=2",
    "train_classifier.epochs=3",
    "train_segmenter.rounds=2",
    "train_segmenter.converged=1.1",
    "train_segmenter.departed=-1.0",
]
LONG = (
    "train_classifier", "compute_superpixels", "train_crm", "generate_cams", "distill_cams", "refine_masks",
    "train_segmenter",
)  # fmt: skip


class World:
    """A folder in which all stages up to the segmenter have run, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = few_images.override(Path("params.yaml"), CHANGES)
        few_images.leave_out(whole, "")
        few_images.write(whole, folder / "files")
        self.stages = {
            item.addressing.partition("@")[0]: item for item in few_images.order(folder, ["train_segmenter"])
        }
        for item in self.stages.values():
            few_images.execute(item.cmd)

    def job(self, name: str) -> killing.Job:
        """A stage, to be run again."""
        item = self.stages[name]
        return killing.Job(item.cmd, self.folder, [out.def_path for out in item.outs])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WEAKSEG_CACHE", str(folder / "first"))
        patch.setenv("WEAKSEG_WORKERS", "0")
        patch.setitem(few_images.MOST, "epochs", 3)
        return World(folder)


@pytest.mark.parametrize("name", LONG)
def test_a_stage_that_was_killed_ends_with_the_same_bytes(world: World, name: str, tmp_path: Path) -> None:
    killing.survive(world.job(name), tmp_path, random.Random(name), kills=2)


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_twenty_kills_at_random_moments(world: World, name: str, tmp_path: Path) -> None:
    assert killing.survive(world.job(name), tmp_path, random.Random(name), kills=20) > 0
