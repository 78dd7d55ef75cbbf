"""Faithfulness by hand: a network whose probability is known for every set of shown pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from weakseg.evaluation.classifier import faithfulness
from weakseg.evaluation.classifier.imputation import impute

SIZE = 8
RECIPE = faithfulness.FaithfulnessRecipe(seed=0, batch_size=2, steps=4, blur=2.0, fractions=[0.25, 0.5])


def evaluate(logits, images, maps, classes, probabilities=lambda logits: logits.softmax(1)):
    case = faithfulness.Case(lambda images: probabilities(logits(images)), images, classes)
    return faithfulness.evaluate(case, maps, RECIPE, torch.Generator().manual_seed(0))


def left_half(images: torch.Tensor) -> torch.Tensor:
    """Logits that see only the left half: class 0 grows with its mean."""
    seen = 8 * images[..., : SIZE // 2].mean((1, 2, 3))
    return torch.stack([seen, torch.zeros_like(seen)], 1)


def half_maps() -> torch.Tensor:
    """A map of the left half and one of the right half."""
    left = torch.zeros(SIZE, SIZE)
    left[:, : SIZE // 2] = 1
    return torch.stack([left, 1 - left])


def test_drop_and_increase_by_hand():
    images = torch.ones(2, 3, SIZE, SIZE)
    found = evaluate(left_half, images, half_maps(), torch.tensor([0, 0]))
    full, none = 1 / (1 + np.exp(-8)), 0.5
    np.testing.assert_allclose(found["average_drop"], [0, (full - none) / full], atol=1e-6)
    np.testing.assert_array_equal(found["increase"], [0, 0])


def test_increase_where_the_map_hides_a_distractor():
    images = torch.ones(1, 3, SIZE, SIZE)
    found = evaluate(lambda x: left_half(-x), images, half_maps()[1:], torch.tensor([0]))
    assert found["increase"].tolist() == [1.0] and found["average_drop"].tolist() == [0.0]


def test_deletion_by_hand():
    """Four steps: the right order empties the left half after two, the wrong order only begins then."""
    images = torch.ones(2, 3, SIZE, SIZE)
    found = evaluate(left_half, images, half_maps(), torch.tensor([0, 0]))
    p = [1 / (1 + np.exp(-8 * share)) for share in (1, 0.5, 0)]
    right = [p[0], p[1], p[2], p[2], p[2]]
    wrong = [p[0], p[0], p[0], p[1], p[2]]
    expected = [np.trapezoid(points) / 4 for points in (right, wrong)]
    np.testing.assert_allclose(found["deletion"], expected, atol=1e-6)


def test_a_better_map_scores_better_everywhere():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, 3, SIZE, SIZE, generator=generator).repeat(2, 1, 1, 1)
    images[..., : SIZE // 2] += 1
    found = evaluate(left_half, images, half_maps(), torch.tensor([0, 0]))
    for name, sign in {"average_drop": -1, "deletion": -1, "insertion": 1, "road": 1}.items():
        assert sign * (found[name][0] - found[name][1]) > 0, name


def test_imputation_solves_roads_linear_system():
    """Against a direct sparse solution of x_i sum_j w_ij = sum_j w_ij x_j, written out pixel by pixel."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2, 3, 9, 7, generator=generator, dtype=torch.float64)
    kept = torch.rand(2, 1, 9, 7, generator=generator) > 0.6
    found = impute(images, kept)
    for image, mask, ours in zip(images.numpy(), kept[:, 0].numpy(), found.numpy(), strict=True):
        places = {tuple(place): number for number, place in enumerate(np.argwhere(~mask))}
        entries, right = [], np.zeros((len(places), 3))
        for (y, x), row in places.items():
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    other = (y + dy, x + dx)
                    if (dy, dx) == (0, 0) or not (0 <= other[0] < 9 and 0 <= other[1] < 7):
                        continue
                    weight = 1 / 12 if dy and dx else 1 / 6
                    entries.append((row, row, weight))
                    if other in places:
                        entries.append((row, places[other], -weight))
                    else:
                        right[row] += weight * image[:, other[0], other[1]]
        rows, columns, values = zip(*entries, strict=True)
        exact = spsolve(coo_matrix((values, (rows, columns))).tocsr(), right)
        assert np.abs(ours[:, ~mask].T - exact).max() < 5e-3
        np.testing.assert_array_equal(ours[:, mask], image[:, mask])


def test_images_do_not_depend_on_batch_mates():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(3, 3, SIZE, SIZE, generator=generator)
    kept = torch.rand(3, 1, SIZE, SIZE, generator=generator) > 0.5
    alone = torch.cat([impute(images[i : i + 1], kept[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(impute(images, kept), alone)
    maps = torch.rand(3, 4, 4, generator=generator)
    classes = torch.tensor([0, 1, 0])
    together = evaluate(left_half, images, maps, classes)
    order = [2, 0, 1]
    permuted = evaluate(left_half, images[order], maps[order], classes[order])
    for name in ("average_drop", "increase", "deletion", "insertion"):
        np.testing.assert_allclose(permuted[name], together[name][order], atol=1e-6)


def test_flat_map_and_multi_target_are_defined():
    images = torch.ones(1, 3, SIZE, SIZE)
    found = evaluate(left_half, images, torch.full((1, 4, 4), 3.0), torch.tensor([0]), torch.sigmoid)
    assert set(found) == {"average_drop", "increase", "deletion", "insertion", "road"}
    assert all(values.shape == (1,) and np.isfinite(values).all() for values in found.values())
    full = 1 / (1 + np.exp(-8))
    assert found["average_drop"][0] == pytest.approx((full - 0.5) / full, abs=1e-6)


def test_blur_keeps_flat_images_and_the_mean():
    flat = torch.full((1, 3, 12, 12), 0.7)
    torch.testing.assert_close(faithfulness.blur(flat, 2.0), flat)
    point = torch.zeros(1, 3, 25, 25)
    point[..., 12, 12] = 1
    assert faithfulness.blur(point, 2.0).sum((2, 3)) == pytest.approx(torch.ones(1, 3), abs=1e-5)
