"""The light decoder tells several classes apart within a short training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.networks.segmenters.topdown import TopDown

CHANNELS, SIDES, CLASSES = [24, 32, 96, 512], [24, 12, 6, 3], 12
SPREADS = [5.7, 5.4, 4.1]  # standard deviations of the shallow levels, as in an ImageNet MobileNetV2


def draw_features(count: int, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Features of `count` images with one object each, and class ids (count,24,24).

    The object's outline is in the first channel of the finest level, its class in the deepest one alone: 16 channels of
    512 for each class, among which others are on too.
    """
    rows, columns = torch.meshgrid(torch.arange(SIDES[0]), torch.arange(SIDES[0]), indexing="ij")
    middle, radius = torch.rand(count, 2, 1, 1, generator=generator) * 8 + 8, 8
    inside = (rows - middle[:, 0]) ** 2 + (columns - middle[:, 1]) ** 2 < radius**2  # (count,24,24)
    kinds = torch.randint(1, CLASSES, (count,), generator=generator)
    features = [
        spread * torch.randn(count, channels, side, side, generator=generator)
        for spread, channels, side in zip(SPREADS, CHANNELS, SIDES, strict=False)
    ]
    features[0][:, 0] = 5.7 * (2 * inside - 1)
    deep = 0.5 * torch.rand(count, CHANNELS[-1], SIDES[-1], SIDES[-1], generator=generator)
    share = F.adaptive_avg_pool2d(inside[:, None].float(), SIDES[-1])  # (count,1,3,3)
    for one, kind in enumerate(kinds):
        deep[one, 16 * int(kind) : 16 * int(kind) + 16] += 2 * share[one]
    return [*features, deep], inside * kinds[:, None, None]


def train(decoder: TopDown, steps: int, generator: torch.Generator) -> None:
    """As a segmenter is trained, on new images in every step."""
    optimizer = torch.optim.AdamW(decoder.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps + 1, pct_start=0.15)
    for _ in range(steps):
        features, truth = draw_features(16, generator)
        loss = F.cross_entropy(decoder(features), truth)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        schedule.step()


def class_recall(decoder: TopDown, generator: torch.Generator) -> tuple[float, float]:
    """Shares of the objects' pixels that are found, and that are given their own class."""
    features, truth = draw_features(64, generator)
    with torch.no_grad():
        found = decoder(features).argmax(1)[truth > 0]
    own = truth[truth > 0]
    return float((found > 0).float().mean()), float((found == own).float().mean())


@pytest.mark.parametrize("votes", [True, False])
def test_classes_are_told_apart_and_not_only_foreground(votes: bool) -> None:
    """Without the deepest level's own logits the same training finds the objects, and calls them anything."""
    torch.manual_seed(0)
    decoder, generator = TopDown(CHANNELS, 64, CLASSES), torch.Generator().manual_seed(0)
    decoder.votes = decoder.votes if votes else None
    train(decoder, 120, generator)
    foreground, own = class_recall(decoder.eval(), generator)
    assert foreground > 0.8
    assert own > 0.75 if votes else own < 0.3


def test_one_foreground_needs_no_votes_and_draws_the_weights_it_always_drew() -> None:
    torch.manual_seed(0)
    binary = TopDown(CHANNELS, 64, 2)
    after = torch.rand(1)
    torch.manual_seed(0)
    several = TopDown(CHANNELS, 64, CLASSES)
    assert binary.votes is None and not any("votes" in name for name in binary.state_dict())
    assert torch.equal(binary.merges[0][0].weight, several.merges[0][0].weight)
    torch.manual_seed(0)
    assert torch.equal(TopDown(CHANNELS, 64, 2).head.weight, binary.head.weight) and torch.equal(torch.rand(1), after)


def test_votes_are_added_where_the_deepest_level_is() -> None:
    """A vote for one class at one cell of the deepest level raises that class's logits there, and nowhere else."""
    torch.manual_seed(0)
    decoder = TopDown(CHANNELS, 64, CLASSES).eval()
    features, _ = draw_features(1, torch.Generator().manual_seed(0))
    assert decoder.votes is not None
    with torch.no_grad():
        torch.nn.init.zeros_(decoder.votes.weight)
        torch.nn.init.zeros_(decoder.votes.bias)
        plain = decoder(features)
        decoder.votes.bias[3] = 2.0
        raised = decoder(features) - plain
    assert torch.allclose(raised[:, 3], torch.full_like(raised[:, 3], 2.0), atol=1e-5)
    assert torch.allclose(raised[:, [0, 1, 2, *range(4, CLASSES)]], torch.zeros(1), atol=1e-5)
