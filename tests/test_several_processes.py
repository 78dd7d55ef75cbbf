"""Several processes, or ranks, on one command: the bytes of one process, and one sentence where something is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from tests import ranks
from tests.parameters import changed, entries
from tests.world import World
from tests.world_networks import TINY, save_classifier, tiny_classifier
from weakseg.artifacts.formats import zips
from weakseg.harness import launch
from weakseg.networks.loading import saved_classifier
from weakseg.networks.weight_files import fetch_weights

WORLD = World(train=10, val=2, test=5)  # 17 images are five batches of four, the last with one image
CHANGES = {
    "compute_superpixels": {"count": 40, "longest": 64},
    "generate_cams": {"image_size": 32, "batch_size": 4, "projection_images": 2},
    "distill_cams": {"image_size": 32, "batch_size": 4, "levels": [1], "refiner": "threshold", "refine_images": 3},
    "refine_masks": {"refiner": "superpixel_vote", "second": "threshold", "source": "cams"},
    "train_classifier": {"image_size": 32, "epochs": 2, "batch_size": 4},
}
SUPERPIXELS = "--images images --labels labels.csv --out out/superpixels --scores out/s.csv"
CAMS = (
    "--network resnet --classifier classifier.safetensors --images images --labels labels.csv --out out/cams"
    " --known out/known --scores out/s.csv"
)
DISTILL = (
    "--network resnet --classifier classifier.safetensors --cams cams --images images --labels labels.csv"
    " --superpixels superpixels --out out/distilled --curves out/c.csv"
)
REFINE = (
    "--classifier classifier.safetensors --cams cams --images images --labels labels.csv --superpixels"
    " superpixels --refined out/refined --out out/masks --pictures out/p.png --scores out/s.csv"
)
HEAD = (
    "--network frozen --images images --labels labels.csv --weights weights.safetensors --out out/c.safetensors"
    " --checkpoints out/kept --predictions out/p.csv --curves out/c.csv"
)
STAGES = {
    "compute_superpixels": SUPERPIXELS, "generate_cams": CAMS, "distill_cams": DISTILL, "refine_masks": REFINE,
    "train_classifier": HEAD,
}  # fmt: skip
NETWORK = {"backbone": "mobilenet", "variant": "small", "weights": "random", "cams": {}, "distill": {}}
FROZEN = entries("mobilenet", "resnet") | {"frozen": NETWORK | {"train": {"trainable_blocks": 0}}}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, labels, maps, superpixels, a classifier, and params.yaml."""
    folder = tmp_path_factory.mktemp("drawn")
    WORLD.write(folder, "images", "labels", "superpixels", "cams")
    save_classifier(folder / "classifier.safetensors")
    fetch_weights.write_none(folder / "weights.safetensors", "random")
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(CHANGES | {"networks": FROZEN})))
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """The same, to work in."""
    return Path(shutil.copytree(drawn, tmp_path / "work"))


def outputs(folder: Path) -> dict[str, bytes]:
    """Content of everything that a stage wrote."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}


def start_anew(folder: Path) -> None:
    for name in ("out", ".cache"):
        shutil.rmtree(folder / name, ignore_errors=True)


@pytest.mark.parametrize("name", STAGES)
def test_two_and_three_processes_write_the_bytes_of_one(folder: Path, name: str) -> None:
    one = ranks.run(folder, name, STAGES[name])
    assert one.returncode == 0, one.stderr_text
    expected = outputs(folder)
    assert expected
    for many in (2, 3):
        start_anew(folder)
        ended = ranks.launch(folder, name, STAGES[name], many)
        assert [code for code, _ in ended] == [0] * many, ended
        assert outputs(folder) == expected, many
        assert list((folder / ".cache").glob("weakseg/shares/*")) == []


def test_a_training_by_two_processes_has_the_losses_of_one(folder: Path) -> None:
    """Eight steps of a network without norms over the batch, in float32; five images are shares of 2 and 3."""
    network = NETWORK | {"backbone": "convnext", "train": {"learning_rate": 1e-3, "head_learning_rate": 1e-3}}
    recipe = {"image_size": 32, "epochs": 4, "batch_size": 5, "dice_weight": 0.1}
    (folder / "params.yaml").write_text(
        yaml.safe_dump(changed({"networks": {"frozen": network}, "train_classifier": recipe}))
    )
    rows = []
    for many in (1, 2):
        start_anew(folder)
        found = ranks.run(folder, "train_classifier", HEAD, WEAKSEG_DEVICES=str(many))
        assert found.returncode == 0, found.stderr_text
        rows.append(pd.read_csv(folder / "out" / "c.csv"))
    assert len(rows[0]) == 4
    pd.testing.assert_frame_equal(*rows, check_exact=False, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["generate_cams", "train_classifier"])
def test_weakseg_devices_starts_the_others(folder: Path, name: str) -> None:
    assert ranks.run(folder, name, STAGES[name]).returncode == 0
    expected = outputs(folder)
    start_anew(folder)
    found = ranks.run(folder, name, STAGES[name], WEAKSEG_DEVICES="2")
    said = [line for line in found.stderr_text.splitlines() if not line.endswith("waiting for data")]
    assert (found.returncode, said) == (0, [])
    assert outputs(folder) == expected


def test_a_launcher_in_the_environment_starts_them(folder: Path) -> None:
    assert ranks.run(folder, "generate_cams", CAMS).returncode == 0
    expected = outputs(folder)
    start_anew(folder)
    torchrun = f"torchrun --nproc-per-node 2 --master-port {ranks.free_port()}"
    found = ranks.run(folder, "generate_cams", CAMS, WEAKSEG_LAUNCH=torchrun)
    assert found.returncode == 0, found.stderr_text
    assert outputs(folder) == expected


def test_what_one_of_them_finished_is_there_for_one_process_alone(folder: Path) -> None:
    """The second process dies of a damaged image; its whole ones are not computed again by the next run."""
    contents = {name: zips.Images(folder / "images").read(name) for name in WORLD.names}
    write_images(folder, contents | {WORLD.names[-1]: b"no image"})
    failed = ranks.run(folder, "generate_cams", CAMS, WEAKSEG_DEVICES="2")
    assert failed.returncode == 1
    said = failed.stderr_text
    assert said.startswith(f"generate_cams: process 1: image '{WORLD.names[-1]}' cannot be read"), said
    assert said.endswith("replace or remove it\n") and said.count("\n") == 1, said
    assert outputs(folder) == {}
    write_images(folder, contents)
    again = ranks.run(folder, "generate_cams", CAMS, TQDM_DISABLE="")
    assert again.returncode == 0 and "| 0/1 [" in again.stderr_text, "one batch of five is left"
    assert "| 0/5 [" not in again.stderr_text


def write_images(folder: Path, contents: dict[str, bytes]) -> None:
    with zips.ArchiveWriter(folder / "images") as writer:
        for name, content in contents.items():
            writer.add_bytes(f"{name}.png", content)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"WEAKSEG_DEVICES": "two"}, "WEAKSEG_DEVICES is 'two': set it to a number of devices"),
        ({"WEAKSEG_DEVICES": "0"}, "WEAKSEG_DEVICES is '0': set it to a number of devices"),
        ({"WEAKSEG_DEVICES": "4000"}, "4000 processes on a machine that has"),
        ({"WEAKSEG_DEVICES": "2", "WEAKSEG_LAUNCH": "srun"}, "WEAKSEG_DEVICES and WEAKSEG_LAUNCH are both set"),
        ({"WEAKSEG_LAUNCH": "env"}, "WEAKSEG_LAUNCH is 'env', which tells no process its rank"),
        ({"WEAKSEG_LAUNCH": "no-such-launcher -n 2"}, "WEAKSEG_LAUNCH begins with 'no-such-launcher': No such file"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 of 2 processes: the launcher numbers them from 0"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK is 'one', no number"),
        ({"RANK": "0", "WORLD_SIZE": "2", "WEAKSEG_WAIT": "soon"}, "WEAKSEG_WAIT is 'soon': set it to a number"),
        (
            {"RANK": "0", "WORLD_SIZE": "2", "WEAKSEG_WAIT": "1"},
            "process 0 of 2 has not met the others within 1",
        ),
    ],
)
def test_bad_input_is_a_sentence(folder: Path, environment: dict[str, str], sentence: str) -> None:
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ranks.free_port())}
    told = ranks.run(folder, "generate_cams", CAMS, **meeting, **environment)
    assert told.returncode == 1 and told.stderr_text.count("\n") == 1, told.stderr_text
    assert told.stderr_text.startswith(f"generate_cams: {sentence}")
    assert outputs(folder) == {}


@pytest.mark.parametrize(
    ("stage", "file", "what"),
    [
        ("generate_cams", "params.yaml", "parameters"),
        ("generate_cams", "classifier.safetensors", "parameters, inputs, code or libraries"),
        ("compute_superpixels", "images", "images, labels or maps"),
    ],
)
def test_ranks_that_see_something_else(folder: Path, stage: str, file: str, what: str) -> None:
    """The second one works in a folder of its own, in which one file is another."""
    other = Path(shutil.copytree(folder, folder.with_name("other")))
    if file == "params.yaml":
        (other / file).write_text(yaml.safe_dump(changed(CHANGES | {"networks": FROZEN, "seed": 7})))
    elif file == "images":
        World(train=10, val=2, test=5, width=44).write(other, "images")
    else:
        network = tiny_classifier()
        with torch.no_grad():
            network.head.linear.bias += 1
        saved_classifier.save(other / file, network, TINY)
    cache = {"WEAKSEG_CACHE": str(folder / ".cache")}
    ended = ranks.launch(folder, stage, STAGES[stage], 2, folders=[folder, other], **cache)
    assert [code for code, _ in ended] == [1, 1], ended
    for _, said in ended:
        assert f"process 1 has other {what} than process 0: give all of them one project folder" in said, said
    assert outputs(folder) == outputs(other) == {}


def others(pid: int) -> list[int]:
    """Numbers of the processes that the first one has started to share its work."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and f"{launch.TIED}=1".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("first", [True, False])
def test_a_rank_that_dies_ends_all(folder: Path, first: bool) -> None:
    with ranks.start(folder, "generate_cams", CAMS, WEAKSEG_DEVICES="2") as process:
        while not (second := others(process.pid)):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid if first else second[0], signal.SIGKILL)
        said = process.communicate()[1]
    if not first:
        assert process.returncode == 1
        assert said.startswith("generate_cams: process 1 was killed (SIGKILL)") and said.count("\n") == 1, said
    until = time.monotonic() + 20
    while Path(f"/proc/{second[0]}/exe").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{second[0]}/exe").exists(), "a process outlived the first"
    assert outputs(folder) == {}
    assert ranks.run(folder, "generate_cams", CAMS, WEAKSEG_DEVICES="2").returncode == 0
