"""The download stage: staged, verified, and what was there before stays on failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages import download
from tests.raw_archives import picture, sums, tar_gz
from weakseg.errors import UserError
from weakseg.harness import params

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"train_images": 6, "test_images": 6, "image_size": 48, "seed": 0}


def load(data: str, source: str, **options: dict) -> download.Params:
    """Checked parameters."""
    whole = {"data": data, "download": {"source": source, **options}}
    return params.check(download.Params, "download", whole, Path("params.yaml"))


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches go to the test's own folder."""
    monkeypatch.chdir(tmp_path)


def test_archives_from_a_folder_replace_the_previous_ones() -> None:
    tar_gz(Path("source/imagenette2-160.tgz"), {"x/train/n01440764/a.JPEG": picture()})
    sums(Path("source"))
    out = Path("data/raw")
    out.mkdir(parents=True)
    (out / "stale").touch()
    scores = download.main(load("imagenette", "source", imagenette={"size": "160"}), out=out)
    assert [path.name for path in out.iterdir()] == ["imagenette2-160.tgz"]
    assert scores == {"files": 1, "bytes": (out / "imagenette2-160.tgz").stat().st_size}


def test_failure_leaves_the_previous_archives() -> None:
    tar_gz(Path("source/images.tar.gz"), {"images/a_1.jpg": picture()})
    sums(Path("source"))
    out = Path("data/raw")
    out.mkdir(parents=True)
    (out / "previous").touch()
    with pytest.raises(UserError, match=r"source/annotations.tar.gz does not exist"):
        download.main(load("oxford_pets", "source"), out=out)
    assert [path.name for path in out.iterdir()] == ["previous"]


def test_shapes_are_drawn_without_torch() -> None:
    Path("params.yaml").write_text(
        yaml.safe_dump({"data": "shapes", "download": {"source": "official", "shapes": SHAPES}})
    )
    code = (
        "import sys, runpy; sys.argv = ['download', '--out', 'raw', '--metrics', 'metrics.json'];"
        "runpy.run_module('stages.download', run_name='__main__', alter_sys=True); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT)})
    assert sorted(path.name for path in Path("raw").iterdir()) == ["heads.csv", "images.zip", "labels.csv", "masks.zip"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("pets", {}, "unknown choice 'pets' for datasets: choose one of cub, folder, imagenette, oxford_pets, shapes"),
        ("shapes", {}, "train_images is missing"),
        ("cub", {"cub": {"size": 1}}, "size is unknown"),
    ],
)
def test_bad_parameters(data: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(data, "official", **options)
