"""Feature grids: mirror images, grids, and files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from weakseg.harness import kept
from weakseg.masks.distillation import feature_grids
from weakseg.networks.classifier import Classifier, PooledHead


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3, 2, 1))
    return Classifier(blocks, PooledHead(4, 2), 4, (0.0,) * 3, (1.0,) * 3).eval()


def test_average_mirrored_does_not_tell_an_image_from_its_mirror_image(classifier: Classifier) -> None:
    images = torch.randn(2, 3, 15, 15)
    with torch.no_grad():
        one = feature_grids.average_mirrored(classifier, images, [1, 3])
        two = feature_grids.average_mirrored(classifier, images.flip(3), [1, 3])
        plain = classifier.features_at(images, 3), classifier.features_at(images.flip(3), 3).flip(3)
    assert set(one) == {1, 3}
    for level in one:
        torch.testing.assert_close(one[level], two[level].flip(3))
    torch.testing.assert_close(one[3], sum(plain) / 2)


class Samples(torch.utils.data.Dataset):
    """Five flat images, each of its own number, as bytes that are divided by 255 and by the spread."""

    ids = tuple("abcde")
    mean, std = torch.zeros(3, 1, 1), torch.full((3, 1, 1), 1 / 255)

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 16, 16), index, dtype=torch.uint8), index


def records(classifier: Classifier) -> list[kept.Record]:
    """What is kept of each image."""
    means = feature_grids.compute_means(classifier, Samples(), READING, [1, 3])
    return list(feature_grids.to_records(means, [1, 3], None))


READING = feature_grids.Reading(levels=[1, 3], image_size=16, batch_size=2, precision="fp32")


def test_grids_are_written_whole_and_removed(classifier: Classifier, tmp_path: Path) -> None:
    stacks = feature_grids.Grids(tmp_path, [1, 3])
    means = feature_grids.compute_means(classifier, Samples(), READING, [1, 3])
    stacks.write(feature_grids.to_records(means, [1, 3], (4, 4)), 5)
    assert not list(tmp_path.glob("*.partial"))
    assert [stacks.load(level).shape for level in (1, 3)] == [(5, 5, 4, 4), (5, 4, 4, 4)]
    with torch.no_grad():
        last = feature_grids.average_mirrored(classifier, torch.full((1, 3, 16, 16), 4.0), [3])[3][0]
    np.testing.assert_allclose(stacks.load(3)[4], last.numpy(), atol=1e-2)
    coarse = feature_grids.store_on_grid(torch.ones(1, 2, 2, 2), (4, 4))
    assert coarse.shape == (1, 2, 4, 4) and (coarse == 1).all()
    stacks.remove()
    assert not list(tmp_path.iterdir())


def test_where_memory_is_short_half_a_batch_gives_the_same_features(classifier: Classifier) -> None:
    expected = records(classifier)

    def short(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    classifier.blocks[0].register_forward_pre_hook(short)
    found = records(classifier)
    for one, other in zip(found, expected, strict=True):
        assert one.facts == other.facts
        for left, right in zip(one.parts, other.parts, strict=True):
            pair = [np.frombuffer(part, np.float16) for part in (left, right)]
            np.testing.assert_allclose(*pair, rtol=2e-3)
