"""A tiny vision transformer through the whole graph on a few drawn images, by class token and mean; what it learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests import few_images
from tests.contents import content
from weakseg.artifacts import activations
from weakseg.cams.methods import hirescam
from weakseg.cams.view import look
from weakseg.harness import choices
from weakseg.harness.params import read
from weakseg.networks.backbones import timm as by_name

OTHERS = ("~networks.convnext", "~networks.replknet", "~networks.mobilenet")
ENTRY = "{{backbone: timm, variant: {}, weights: random, train: {{}}, cams: {{}}, distill: {{}}}}"
VARIANTS = {"token": "test_vit", "mean": "test_vit2"}  # what the head reads


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_tiny_transformer_runs_through(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WEAKSEG_WORKERS", "0")
    entry = ENTRY.format(VARIANTS[kind])
    changes = (f"+networks.vit={entry}", "mask_network=vit", "features_from=vit", "compare_erf.fit=images", *OTHERS)
    few_images.write(few_images.override(Path("params.yaml"), changes), tmp_path)
    few_images.Runner(tmp_path / "kept").run(())
    side = read(Path("params.yaml"))["generate_cams"]["image_size"]
    cams = activations.Cams(Path("data/cams/vit"))
    entries = [cams.cams(name) for name in cams.names()]
    assert {one.scores.shape[1:] for one in entries} == {(side // 16, side // 16)}
    assert all(one.features.shape[0] <= 64 for one in entries)
    assert 0 <= json.loads(Path("metrics/masks.json").read_text())["segmenter"] <= 1


ENCODER = (
    "{backbone: timm, variant: test_vit, weights: WEIGHTS, train: TRAIN, cams: {affinity_steps: 2},"
    " distill: {levels: [-2]}}"
)


def distill(
    folder: Path, features_from: str, weights: str, train: str
) -> tuple[tuple[bytes, ...], tuple[bytes, ...], dict[str, str]]:
    """Maps of mobilenet, what became of them, and the figures of distillation, beside an encoder in `networks`."""
    entry = ENCODER.replace("WEIGHTS", weights).replace("TRAIN", train)
    changes = (f"+networks.encoder={entry}", f"features_from={features_from}", *OTHERS[:-1])
    few_images.write(few_images.override(Path("params.yaml"), changes), folder)
    few_images.Runner(folder / "kept").run(["distill_cams", "generate_cams"])
    table = Path("report/tables/distill_cams.csv").read_text().splitlines()
    files = Path("data/cams/mobilenet"), Path("data/distilled/mobilenet")
    return tuple(content(files[0]).values()), tuple(content(files[1]).values()), dict(line.split(",") for line in table)


def test_maps_are_learned_on_the_features_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WEAKSEG_WORKERS", "0")
    own = distill(tmp_path, "mobilenet", "random", "{epochs: 0}")
    drawn = distill(tmp_path, "encoder", "random", "{epochs: 0}")
    read = distill(tmp_path, "encoder", "pretrained", "{trainable_blocks: 0}")
    assert own[0] == drawn[0] == read[0], "the maps are mobilenet's"
    assert len({distilled for _, distilled, _ in (own, drawn, read)}) == 3, "the rule is of the features"
    encoder = by_name.build("test_vit", 2, "random")
    assert float(drawn[2]["level"]) == encoder.levels - 2, "its own levels, of its own entry"
    assert float(own[2]["level"]) == choices.load("backbones", "mobilenet").build("small", 2, "random").levels - 3


def draw(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N,3,96,96) of a square of 32 pixels on noise, its color as class (N,), the cells (N,6,6) it covers."""
    generator = torch.Generator().manual_seed(seed)
    images, cells = torch.rand(count, 3, 96, 96, generator=generator) * 0.3, torch.zeros(count, 6, 6)
    classes = torch.randint(0, 3, (count,), generator=generator)
    for number, (row, column) in enumerate(torch.randint(0, 5, (count, 2), generator=generator).tolist()):
        cells[number, row : row + 2, column : column + 2] = 1
        square = cells[number].repeat_interleave(16, 0).repeat_interleave(16, 1)
        images[number, classes[number]] += 0.6 * square
    return images * 2 - 1, classes, cells


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_tiny_transformer_learns_and_its_maps_point_at_the_object(kind: str) -> None:
    torch.manual_seed(0)
    network = by_name.build(VARIANTS[kind], 3, "random")
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    images, classes, _ = draw(256, 1)
    for step in range(70):
        chosen = torch.arange(32) + 32 * (step % 8)
        optimizer.zero_grad()
        functional.cross_entropy(network(images[chosen]), classes[chosen]).backward()
        optimizer.step()
    network.eval()
    images, classes, cells = draw(64, 2)
    with torch.no_grad():
        assert (network(images).argmax(1) == classes).float().mean() > 0.9
    peaks = hirescam.maps(look(network, images), classes[:, None]).flatten(1).argmax(1)
    pointing = cells.flatten(1).gather(1, peaks[:, None]).mean()
    assert pointing > 0.5 and cells.mean() < 0.12, "chance is a ninth"
