"""Heads of weight files: their rows go by name, in every family; what cannot be matched starts anew or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.networks.backbones.networks import images, merge, shaken
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.harness.choices import Choice
from weakseg.harness.params import Network
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import from_timm, saved_classifier
from weakseg.networks.weight_files import fetch_weights
from weakseg.networks.weight_files.start import Start, start

ORDER = [3, 0, 4, 1, 2]  # of the file's classes
DATA = ["Black footed Albatross", "Laysan Albatross", "Sooty Albatross", "Groove billed Ani", "Crested Auklet"]
FILE = [f"{row + 1:03d}.{DATA[number].replace(' ', '_')}" for row, number in enumerate(ORDER)]
SMALL = dict.fromkeys(choices.names("backbones"), "small") | {"timm": "test_resnet"}
FAMILIES = [
    *sorted(SMALL.items()),
    ("timm", "test_convnext"),
    ("timm", "test_byobnet"),
    ("timm", "mobilenetv3_small_050"),
]


def entry(backbone: str, variant: str, weights: str = "file", **more: Any) -> Network:
    return Network(
        name="mine", backbone=Choice("backbones", "build", backbone), variant=variant, weights=weights, **more
    )


def built(backbone: str, variant: str, classes: int = len(FILE), seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return shaken(choices.load("backbones", backbone).build(variant, classes, "random"))


def save(path: Path, network: Classifier, backbone: str, variant: str, classes: list[str]) -> Path:
    """The file of a trained network, as download_weights keeps it."""
    header = saved_classifier.describe(backbone, variant, classes, 48, "multi")
    saved_classifier.save(path, network, header)
    fetch_weights.bring(str(path), path.parent / "cache", path)
    return path


def save_plain(path: Path, state: dict[str, torch.Tensor], classes: list[str] | None = None) -> Path:
    """A file with nothing but tensors, as download_weights keeps it beside a class list."""
    raw = path.with_suffix(".pth")
    torch.save({"model": state}, raw)
    fetch_weights.bring(str(raw), path.parent / "cache", path, classes=classes)
    return path


def differ(found: Start, full: Classifier, rows: list[int]) -> float:
    """Largest difference of the logits, class by class, as a share of the largest logit."""
    batch = images(2)
    with torch.no_grad():
        expected, logits = full(batch)[:, rows], found.classifier.eval()(batch)
    return float((logits - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("backbone", "variant"), FAMILIES)
@pytest.mark.parametrize("train", [None, "none"])
def test_every_class_keeps_its_logit_whatever_the_order_of_the_file(
    backbone: str, variant: str, train: Any, tmp_path: Path
) -> None:
    full = built(backbone, variant)
    path = save(tmp_path / "one.safetensors", full, backbone, variant, FILE)
    found = start(entry(backbone, variant, train=train), path, DATA)
    assert differ(found, full, [ORDER.index(number) for number in range(5)]) < 1e-6
    assert found.scores == {"head": "of the file", "classes_kept": 5, "classes_dropped": 0}
    assert found.facts == ({"image_size": 48, "target": "multi"} if train else {})


@pytest.mark.parametrize(("backbone", "variant"), FAMILIES)
def test_classes_that_the_data_lacks_are_dropped_and_the_rest_can_be_saved(
    backbone: str, variant: str, tmp_path: Path
) -> None:
    full = built(backbone, variant)
    found = start(
        entry(backbone, variant, train="none"),
        save(tmp_path / "one.safetensors", full, backbone, variant, FILE),
        DATA[:3],
    )
    assert differ(found, full, [ORDER.index(number) for number in range(3)]) < 1e-6
    assert (found.scores["classes_kept"], found.scores["classes_dropped"]) == (3, 2)
    header = saved_classifier.describe(backbone, variant, DATA[:3], 48, "single")
    saved_classifier.save(tmp_path / "two.safetensors", found.classifier, header)
    again, _ = saved_classifier.load(tmp_path / "two.safetensors")
    with torch.no_grad():
        assert torch.equal(again(images(1)), found.classifier.eval()(images(1)))


@pytest.mark.parametrize("backbone", ["replknet", "slak", "unireplknet"])
def test_merged_kernels(backbone: str, tmp_path: Path) -> None:
    full = merge(built(backbone, "small"))
    path = save_plain(tmp_path / "one.safetensors", full.state_dict(), FILE)
    found = start(entry(backbone, "small", train="none"), path, DATA[1:4])
    assert differ(found, full, [ORDER.index(number) for number in range(1, 4)]) < 1e-6


def test_the_keys_of_timm_with_a_list_of_names_beside_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = from_timm.create_skeleton(from_timm.Variant("test_convnext"), 5).eval()
    path = save_plain(tmp_path / "one.safetensors", network.state_dict(), FILE)
    found = start(entry("timm", "test_convnext", train="none"), path, DATA)
    assert differ(found, network, [ORDER.index(number) for number in range(5)]) < 1e-6


def test_a_head_without_names_starts_anew_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = built("slak", "small")
    path = save_plain(tmp_path / "one.safetensors", full.state_dict())
    found = start(entry("slak", "small"), path, DATA)
    assert found.scores == {"head": "new", "classes_kept": 0, "classes_dropped": 5}
    state, theirs = found.classifier.state_dict(), full.state_dict()
    assert {key for key in state if not torch.equal(state[key], theirs[key])} == {"head.linear.weight"} | (
        {"head.linear.bias"} if theirs["head.linear.bias"].any() else set()
    )
    line = capsys.readouterr().out
    assert line == ("mine: the head starts anew: nothing names its 5 classes in file (classes of the entry would)\n")


def test_a_head_that_lacks_a_class_starts_anew_when_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "one.safetensors", built("slak", "small"), "slak", "small", FILE)
    assert start(entry("slak", "small"), path, [*DATA, "Dodo"]).scores["head"] == "new"
    assert "lacks classes of the data, 1 of 6: 'Dodo'" in capsys.readouterr().out


def test_random_weights_draw_the_same_numbers_as_ever(tmp_path: Path) -> None:
    fetch_weights.write_none(tmp_path / "none.safetensors", "random")
    torch.manual_seed(3)
    found = start(entry("resnet", "small", "random"), tmp_path / "none.safetensors", DATA)
    torch.manual_seed(3)
    expected = choices.load("backbones", "resnet").build("small", 5, "random").state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in found.classifier.state_dict().items())
    assert found.scores == found.facts == {}


NAMES = {"data": DATA, "other": [*DATA[:4], "Crested Auk"]}


@pytest.mark.parametrize(
    ("listed", "data", "train", "message"),
    [
        (FILE[:4], DATA, "none", "file has a head of 5 classes, and the list of its classes names 4: give one with"),
        (FILE[:4], DATA, None, "file has a head of 5 classes, and the list of its classes names 4: give one with"),
        (None, DATA, "none", "train is none, but nothing names the 5 classes of file: give classes, a text file with"),
        (FILE, NAMES["other"], "none", r"lacks classes of the data, 1 of 5: 'Crested Auk' \(nearest: '.*Auklet'\)"),
    ],
)
def test_messages(listed: list[str] | None, data: list[str], train: Any, message: str, tmp_path: Path) -> None:
    path = save_plain(tmp_path / "one.safetensors", built("slak", "small").state_dict(), listed)
    with pytest.raises(UserError, match=message):
        start(entry("slak", "small", train=train), path, data)


def test_a_file_without_a_head_and_one_of_another_network(tmp_path: Path) -> None:
    state = {key: value for key, value in built("slak", "small").state_dict().items() if not key.startswith("head")}
    path = save_plain(tmp_path / "one.safetensors", state, FILE)
    with pytest.raises(UserError, match="train is none, but file has no head: give a weight file with one"):
        start(entry("slak", "small", train="none"), path, DATA)
    save_file({"fc.weight": torch.ones(2, 3)}, path, metadata={"weakseg": json.dumps({"classes": FILE})})
    for backbone in ("resnet", "slak"):
        with pytest.raises(UserError, match=r"belongs to another network|has no head"):
            start(entry(backbone, "small"), path, DATA)
