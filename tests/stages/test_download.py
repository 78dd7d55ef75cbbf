"""The download stage: staged, verified, and what was there before stays on failure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stages import download
from tests.closure import ROOT
from tests.raw_archives import picture, sums, tar_gz
from weakseg.errors import UserError
from weakseg.harness.stage import Outcome

OUT = Path("data/raw")


@pytest.fixture
def run(workplace: Path, stage_params: Callable) -> Callable[..., Outcome]:
    """The stage for one of the data sets; an empty file stands in the folder it writes."""
    OUT.mkdir(parents=True)
    (OUT / "previous").touch()
    Path("checked").touch()

    def call(data: str) -> Outcome:
        return download.main(
            stage_params(download, source="source", others={"data": data}), checked=Path("checked"), out=OUT
        )

    return call


def test_archives_from_a_folder_replace_the_previous_ones(run: Callable) -> None:
    tar_gz(Path("source/imagenette2-160.tgz"), {"x/train/n01440764/a.JPEG": picture()})
    sums(Path("source"))
    scores = run("imagenette").scores
    assert [path.name for path in OUT.iterdir()] == ["imagenette2-160.tgz"]
    assert scores == {"files": 1, "bytes": (OUT / "imagenette2-160.tgz").stat().st_size}


def test_failure_leaves_the_previous_archives(run: Callable) -> None:
    tar_gz(Path("source/images.tar.gz"), {"images/a_1.jpg": picture()})
    sums(Path("source"))
    with pytest.raises(UserError, match=r"source/annotations.tar.gz does not exist"):
        run("oxford_pets")
    assert [path.name for path in OUT.iterdir()] == ["previous"]


def test_shapes_are_drawn_without_torch(workplace: Path) -> None:
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    whole["datasets"]["shapes"] = {"train_images": 6, "test_images": 6, "image_size": 48, "seed": 0}
    Path("params.yaml").write_text(yaml.safe_dump(whole))
    Path("checked").touch()
    code = (
        "import atexit, sys, runpy; sys.argv = ['download', '--checked', 'checked', '--out', 'raw'];"
        "atexit.register(lambda: print('torch' in sys.modules));"
        "runpy.run_module('stages.download', run_name='__main__', alter_sys=True)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert found.stdout == "False\n"
    assert sorted(path.name for path in Path("raw").iterdir()) == ["heads.csv", "images.zip", "labels.csv", "masks.zip"]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            {"data": "pets"},
            "data: unknown choice 'pets' for datasets: choose one of coco, cub, folder, imagenette, oxford_pets",
        ),
        ({"datasets": {"shapes": {"train_images": "many"}}}, r"shapes\.train_images is 'many'"),
        ({"data": "imagenette", "datasets": {"imagenette": {"size": "200"}}}, r"imagenette\.size is '200'"),
        ({"data": "cub", "datasets": {"cub": {"size": 1}}}, r"cub\.size is unknown"),
    ],
)
def test_bad_parameters(stage_params: Callable, others: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stage_params(download, others=others)
