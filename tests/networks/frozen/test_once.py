"""Features of a frozen network: the same bits as a forward pass, found by what they depend on, within the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.world import World
from tests.world_networks import tiny_classifier
from weakseg.artifacts.features import FeatureFolder
from weakseg.artifacts.formats import zips
from weakseg.data.samples import Reader
from weakseg.harness import choices
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen import lent, once

WORLD = World(train=5, val=2, test=3)
SIZE = 32


@pytest.fixture
def reader(workplace: Path) -> Reader:
    """Ten images in batches of four."""
    return Reader(zips.Images(WORLD.write(workplace, "images")["images"]), WORLD.names, SIZE, 4, "fp32")


def collect(classifier: Classifier, reader: Reader) -> once.Stored:
    return once.collect(classifier, classifier.head, reader)


def batches(classifier: Classifier, reader: Reader) -> Iterator[tuple[Tensor, list[str]]]:
    for pixels, names in reader.batches("", (classifier.mean, classifier.std)):
        yield pixels.to(memory_format=torch.channels_last), names


@pytest.mark.parametrize("backbone", ["mobilenet", "resnet", "convnext", "replknet"])
@torch.no_grad()
def test_what_is_read_has_the_bits_of_a_forward_pass(reader: Reader, backbone: str) -> None:
    torch.manual_seed(0)
    classifier = choices.load("backbones", backbone).build("small", 2, "random").eval()
    stored = collect(classifier, reader)
    kept = [level for level in range(1, classifier.levels + 1) if stored.holds([level])]
    assert stored.holds([0]) and not stored.holds([1]), "the first level is on a finer grid"
    for pixels, names in batches(classifier, reader):
        for mirrored in (False, True):
            expected = levels.outputs(classifier, pixels.flip(3) if mirrored else pixels, kept)
            found = stored.outputs(names, mirrored, kept)
            assert all(torch.equal(found[level], expected[level]) for level in kept)
            pooled = classifier.head.pooled(expected[classifier.levels])
            assert torch.equal(stored.pooled(names, mirrored), pooled)


def test_a_pointwise_last_block_is_computed_again(reader: Reader) -> None:
    classifier = tiny_classifier()
    shapes = once.choose_levels(classifier, SIZE)
    last = classifier.levels
    assert once.is_pointwise(classifier.blocks[-1])
    assert f"level{last}" not in shapes and f"level{last - 1}" in shapes
    resnet = choices.load("backbones", "resnet").build("small", 2, "random").eval()
    assert not once.is_pointwise(resnet.blocks[-1]) and f"level{resnet.levels}" in once.choose_levels(resnet, SIZE)


def test_features_are_found_by_what_they_depend_on(reader: Reader, workplace: Path) -> None:
    classifier = tiny_classifier()
    assert once.find(classifier, reader) is None
    collect(classifier, reader)
    classifier.head.linear.weight.data += 1
    assert once.find(classifier, reader, [0, -1]) is not None, "the linear layer sees them, and does not make them"
    assert once.find(classifier, reader, [1]) is None, "a level that is not kept"
    for change in ({"size": 48}, {"batch_size": 3}, {"crop": 0.5}, {"ids": WORLD.names[:4]}):
        assert once.find(classifier, replace(reader, **change)) is None
    other = zips.Images(replace(WORLD, train=4, val=3, width=44).write(workplace / "other", "images")["images"])
    assert once.find(classifier, replace(reader, images=other)) is None
    stride = next(part for part in classifier.modules() if getattr(part, "stride", None) == (2, 2))
    stride.stride = (1, 1)
    assert once.find(classifier, reader) is None, "no weight tells a stride"
    stride.stride = (2, 2)
    next(classifier.blocks.parameters()).data += 1
    assert once.find(classifier, reader) is None


def test_a_killed_run_goes_on(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, seen = tiny_classifier(), []

    def killed_at_the_second(self: FeatureFolder, start: int, parts: dict) -> None:
        seen.append(len(parts["pooled"]))
        if len(seen) == 2:
            raise KeyboardInterrupt
        write(self, start, parts)

    write = FeatureFolder.write
    monkeypatch.setattr(FeatureFolder, "write", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        collect(classifier, reader)
    assert once.find(classifier, reader) is None
    stored = collect(classifier, reader)
    assert seen == [4, 4, 4, 2] and stored.files.whole()
    collect(classifier, reader)
    assert len(seen) == 4, "what is whole is not computed again"


def test_an_image_more_costs_its_batch_and_the_last_one(
    reader: Reader, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirteen images instead of twelve, the new one among the first four."""
    classifier, more = tiny_classifier(), World(train=8, val=2, test=3)
    archive = zips.Images(more.write(workplace / "more", "images")["images"])
    names = [*more.names[:2], more.names[-1], *more.names[2:-1]]
    fewer = workplace / "fewer"
    with zips.ArchiveWriter(fewer) as writer:
        for name, _, _ in archive.checksums()[:-1]:
            writer.add_bytes(name, archive.read(name.rpartition(".")[0]))
    collect(classifier, replace(reader, images=zips.Images(fewer), ids=more.names[:-1]))
    shown, forward = [], once.outputs
    monkeypatch.setattr(once, "outputs", lambda *given: shown.append(len(given[1])) or forward(*given))
    found = collect(classifier, replace(reader, images=archive, ids=names))
    # One image to learn the shapes; then the first batch and the last, each plain and mirrored.
    assert shown == [1, 4, 4, 1, 1]
    monkeypatch.setenv("WEAKSEG_CACHE", str(workplace / "empty"))
    anew = collect(classifier, replace(reader, images=archive, ids=names))
    assert len(shown) == 5 + 1 + 8
    for name in found.files.shapes:
        assert (found.files.folder / f"{name}.f32").read_bytes() == (anew.files.folder / f"{name}.f32").read_bytes()


def test_rows_of_another_network_or_of_a_smaller_batch_are_not_lent(reader: Reader) -> None:
    one, other = tiny_classifier(), tiny_classifier()
    next(other.blocks.parameters()).data += 1
    files = collect(one, reader).files
    assert lent.find_lender(collect(other, reader).files, 4) is None
    lender = lent.Lender(files, 4)
    assert lender.lends(files.contents[2:6]) and not lender.lends(files.contents[2:5])
    assert not lender.lends(files.contents[6:10]), "the last two went through the network as a batch of two"


def test_bits_are_promised_for_batches_as_large_as_those_of_the_pass(reader: Reader) -> None:
    stored = collect(tiny_classifier(), reader)
    a, b, c, d, *_, y, z = WORLD.names
    assert stored.serves([d, a, c, b]) and stored.serves([y, z])
    assert not stored.serves([a]) and not stored.serves([a, z]) and not stored.serves([a, b, c, z])


def test_without_room_only_what_the_head_sees_is_kept(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = tiny_classifier()
    monkeypatch.setenv("WEAKSEG_FEATURES_GB", "0")
    stored = collect(classifier, reader)
    assert list(stored.files.shapes) == ["pooled"] and "WEAKSEG_FEATURES_GB" in capsys.readouterr().err
    assert once.find(classifier, reader) is not None and once.find(classifier, reader, [0]) is None
    monkeypatch.delenv("WEAKSEG_FEATURES_GB")
    assert collect(classifier, reader).holds([0]), "there is room now"
    monkeypatch.setenv("WEAKSEG_FEATURES_GB", "0")
    assert collect(classifier, reader).holds([0]), "what is there is used"


def test_a_head_that_is_not_pooled_finds_nothing(reader: Reader) -> None:
    classifier = tiny_classifier()
    collect(classifier, reader)
    classifier.head = torch.nn.Sequential(classifier.head)
    assert once.find(classifier, reader) is None
