"""Losses against values worked by hand and against naive loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from weakseg.masks.refiners import region_grow
from weakseg.masks.refining import appearance
from weakseg.training.losses import alignment, cross_entropy, dice, perceptual, region


def naive_means(map: Tensor, segments: Tensor) -> Tensor:
    result = torch.zeros_like(map)
    for number in segments.unique():
        result[segments == number] = map[segments == number].mean()
    return result


def naive_normed(map: Tensor) -> Tensor:
    positive = map.clamp(min=0)
    return positive / positive.max() if positive.max() > 0 else positive


def naive_alignment(maps: Tensor, present: Tensor, segments: Tensor) -> float:
    errors = []
    for image, classes in enumerate(present):
        for number in classes.nonzero().flatten().tolist():
            large = torch.nn.functional.interpolate(
                maps[image, number][None, None], segments.shape[-2:], mode="bilinear"
            )
            own = naive_normed(large[0, 0])
            means = naive_normed(naive_means(large[0, 0], segments[image]))
            target = means.clone()
            height, width = own.shape
            for y in range(height):
                for x in range(width):
                    around = own[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                    if around.min() > 0.3:
                        target[y, x] = max(target[y, x], own[y, x])
            errors.append((own - target) ** 2)
    return float(torch.stack(errors).mean())


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 4, 4, generator=generator)
    maps[0, 0] += 3
    present = torch.tensor([[True, False, True], [False, True, False]])
    return maps, present, torch.randint(0, 5, (2, 8, 8), generator=generator)


def test_segment_means_equal_a_loop_over_segments() -> None:
    maps, _, segments = drawn()
    large = torch.nn.functional.interpolate(maps[:, 0][:, None], (8, 8), mode="nearest")[:, 0]
    expected = torch.stack([naive_means(map, ids) for map, ids in zip(large, segments, strict=True)])
    torch.testing.assert_close(alignment.segment_means(large, segments), expected)


def test_alignment_equals_a_loop_over_images_classes_and_segments() -> None:
    maps, present, segments = drawn()
    found = alignment.alignment(maps, present, segments)
    assert float(found) == pytest.approx(naive_alignment(maps, present, segments), rel=1e-5)


def test_alignment_by_hand() -> None:
    maps = torch.tensor([[[[4.0, 0.0], [1.0, 1.0]]]])
    segments = torch.tensor([[[0, 0], [1, 1]]])
    # own 1 0 .25 .25; segment means 2 2 1 1 -> 1 1 .5 .5; nothing is sure after the erosion
    assert float(alignment.alignment(maps, torch.tensor([[True]]), segments)) == pytest.approx((1 + 2 * 0.0625) / 4)


def test_alignment_targets_carry_no_gradient_and_absent_classes_do_not_count() -> None:
    maps, present, segments = drawn()
    maps.requires_grad_()
    alignment.alignment(maps, present, segments).backward()
    assert maps.grad is not None and (maps.grad[~present] == 0).all() and (maps.grad[present] != 0).any()
    assert not alignment.targets(maps[:, 0], segments[:, ::2, ::2]).requires_grad


def test_alignment_of_flat_and_of_no_maps_is_zero() -> None:
    segments = torch.zeros(1, 4, 4, dtype=torch.long)
    flat = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    loss = alignment.alignment(flat, torch.tensor([[True]]), segments)
    loss.backward()
    assert float(loss) == 0 and torch.isfinite(flat.grad).all()
    none = alignment.alignment(flat, torch.tensor([[False]]), segments)
    assert float(none) == 0 and none.requires_grad


def test_dice_of_shares_by_hand() -> None:
    maps = torch.tensor([[[2.0, 1.0], [0.0, -5.0]]])
    # p = 1 .5 0 0; above .3: 1 1 0 0; 1 - 2 * 1.5 / (1.5 + 2)
    assert float(dice.self_dice(maps, "share", 0.3)) == pytest.approx(1 - 3 / 3.5)
    # above .6: only the first; 1 - 2 * 1 / (1.5 + 1)
    assert float(dice.self_dice(maps, "share", 0.6)) == pytest.approx(1 - 2 / 2.5)
    assert float(dice.self_dice(7 * maps, "share", 0.3)) == pytest.approx(1 - 3 / 3.5), "scale does not matter"


def test_dice_of_sigmoids_equals_a_loop_over_maps() -> None:
    maps = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = []
    for one in maps.sigmoid().flatten(1).tolist():
        high = [value for value in one if value > 0.5]
        expected.append(1 - 2 * sum(high) / (sum(one) + len(high)))
    assert float(dice.self_dice(maps, "sigmoid", 0.5)) == pytest.approx(sum(expected) / 3)
    # by hand: logits log 3 and -log 3 are .75 and .25, the first above .5: 1 - 2 * .75 / (1 + 1)
    assert float(dice.self_dice(torch.tensor([[[math.log(3), -math.log(3)]]]), "sigmoid", 0.5)) == pytest.approx(0.25)


@pytest.mark.parametrize(("form", "threshold"), [("share", 0.3), ("sigmoid", 0.5)])
def test_dice_sharpens(form: dice.Form, threshold: float) -> None:
    maps = torch.tensor([[[4.0, 3.0], [-0.5, -0.4]]], requires_grad=True)
    if form == "share":
        maps = torch.tensor([[[4.0, 3.0], [0.5, 0.4]]], requires_grad=True)
    dice.self_dice(maps, form, threshold).backward()
    gradient = maps.grad[0]
    assert gradient[0, 1] < 0 < gradient[1, 0], "above the threshold up, below it down"


def test_dice_degenerate_maps() -> None:
    flat = torch.zeros(2, 2, 2, requires_grad=True)
    loss = dice.self_dice(flat, "share", 0.3)
    loss.backward()
    assert float(loss) == 0 and torch.isfinite(flat.grad).all()
    below = torch.full((1, 2, 2), -9.0, requires_grad=True)
    dark = dice.self_dice(below, "sigmoid", 0.5)
    dark.backward()
    assert float(dark) == 1 and (below.grad == 0).all()
    for form in ("share", "sigmoid"):
        none = dice.self_dice(flat[:0], form, 0.5)
        assert float(none) == 0 and none.requires_grad
    binary = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert float(dice.self_dice(binary, "share", 0.3)) == pytest.approx(0)


def test_regions_grow_in_training_as_the_refiner_grows_them() -> None:
    generator = torch.Generator().manual_seed(0)
    planes = torch.randn(3, 6, 9, 7, generator=generator)
    planes[:, 0, 2:6, 1:5] += 2
    seeds = torch.zeros(3, 9, 7, dtype=torch.bool)
    seeds[0, 3, 2], seeds[1, 3:5, 2:4] = True, True  # the third stays empty
    found = region.grow(seeds, planes, 5)
    for one, image, grown in zip(seeds, planes, found, strict=True):
        expected, directions = one.numpy(), appearance.unit(image.numpy())
        for number in range(5):
            strictness = region.STRICTNESS - region.RELAXATION * number
            expected, _ = region_grow.grow(expected, directions, strictness)
        np.testing.assert_array_equal(grown.numpy(), expected)
    assert found[0].sum() > seeds[0].sum() and not found[2].any()
    assert torch.equal(region.grow(seeds, planes, 0), seeds)


def test_perceptual_weights_and_value() -> None:
    assert perceptual.level_weights(5) == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0]
    ours = [torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 1, 1)]
    theirs = [torch.full((1, 1, 2, 2), 8.0), torch.zeros(1, 2, 1, 1)]
    assert float(perceptual.perceptual(ours, theirs)) == pytest.approx(8 / 4 + 1)
    assert float(perceptual.perceptual(theirs, theirs)) == 0


def test_cross_entropy_ignores_255_and_weighs_classes() -> None:
    logits = torch.tensor([[[[0.0, math.log(3)]], [[0.0, 0.0]]]])
    loss = cross_entropy.cross_entropy(logits, torch.tensor([[[255, 1]]]), weights=None)
    assert float(loss) == pytest.approx(math.log(4))
    both = cross_entropy.cross_entropy(logits, torch.tensor([[[0, 1]]]), weights=torch.tensor([1.0, 3.0]))
    assert float(both) == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_soft_targets_that_are_hard_give_the_hard_loss(weights: Tensor | None) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 4, generator=generator)
    ids = torch.randint(0, 3, (2, 5, 4), generator=generator)
    ids[:, 0] = 255
    soft = torch.nn.functional.one_hot(ids.where(ids != 255, 0), 3).movedim(-1, 1) * (ids != 255)[:, None]
    hard = cross_entropy.cross_entropy(logits, ids, weights=weights)
    torch.testing.assert_close(cross_entropy.cross_entropy(logits, soft, weights=weights), hard)
    torch.testing.assert_close(hard, torch.nn.functional.cross_entropy(logits, ids, weights, ignore_index=255))


def test_cross_entropy_without_a_kept_pixel_is_zero() -> None:
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    loss = cross_entropy.cross_entropy(logits, torch.full((1, 2, 2), 255), weights=None)
    loss.backward()
    assert float(loss) == 0 and torch.isfinite(logits.grad).all()
