"""The effective receptive field: one convolution by hand, scale-free ratios, areas and shapes worked out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weakseg.evaluation.receptive_field.field import (
    MeanField,
    area_ratios,
    center_of_mass,
    central_gradient,
    class_saliency,
    shape,
    smallest_areas,
    square_sides,
    unit_offset,
)


def convolution(kernel: int) -> nn.Conv2d:
    """One kxk convolution of ones, the same size out."""
    layer = nn.Conv2d(3, 2, kernel, padding=kernel // 2, bias=False)
    nn.init.ones_(layer.weight)
    return layer


@pytest.mark.parametrize("kernel", [1, 3, 5, 9])
def test_field_of_one_convolution_of_ones_is_the_kernel(kernel: int):
    field = central_gradient(convolution(kernel), torch.ones(2, 3, 21, 21)).double().numpy().sum(axis=0)
    rows, columns = np.nonzero(field)
    half = kernel // 2
    assert (field[rows, columns] == field[10, 10]).all() and len(rows) == kernel**2
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10 - half, 10 + half) * 2
    assert square_sides(field, (0.99,)) == [kernel]


def test_sides_and_ratios_of_a_5x5_field_by_hand():
    field = np.zeros((21, 15))
    field[8:13, 5:10] = 1
    assert square_sides(field) == [3, 3, 5, 5]
    assert area_ratios(field) == [9 / 315, 9 / 315, 25 / 315, 25 / 315]


def test_a_field_that_fills_the_image_has_ratio_one():
    assert area_ratios(np.ones((6, 10)), (0.99,)) == [1.0]


def test_ratio_of_a_gaussian_does_not_depend_on_the_scale():
    axis = np.arange(-40, 41)
    field = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 8.0**2))
    plain = area_ratios(field)
    assert plain == area_ratios(1e-6 * field) == area_ratios(1e4 * field)
    assert area_ratios(np.log10(1e-6 * field + 1)) != area_ratios(np.log10(1e4 * field + 1))
    # Mass of a centered square of half side a under a Gaussian: erf(a / (sigma sqrt 2))^2 = 0.5 at a = 1.0519 sigma.
    assert square_sides(field, (0.5,))[0] == pytest.approx(2 * 1.0519 * 8, abs=2)


def test_field_of_zeros():
    field = np.zeros((8, 8))
    assert square_sides(field) == [0, 0, 0, 0] and area_ratios(field) == [0, 0, 0, 0]
    assert smallest_areas(field[None], 0.2).tolist() == [0]
    assert shape(field) == {"anisotropy": 0.0, "crossness": 0.0}


def test_smallest_areas_by_hand():
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    assert smallest_areas(maps, 0.2).tolist() == [1, 1]
    assert smallest_areas(maps, 0.4).tolist() == [1, 2]
    assert smallest_areas(maps, 0.5).tolist() == [2, 2]
    assert smallest_areas(maps, 0.95).tolist() == [4, 4]
    assert smallest_areas(1e-6 * maps, 0.5).tolist() == [2, 2]


def test_class_saliency_is_the_gradient_of_the_largest_logit():
    head = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
    with torch.no_grad():
        head[1].weight.copy_(torch.stack([torch.arange(12.0) - 6, -torch.ones(12)]))
    images = torch.ones(1, 3, 2, 2)
    expected = (torch.arange(12.0) - 6).abs().view(3, 2, 2).mean(dim=0)
    assert torch.equal(class_saliency(head, images)[0], expected)
    assert images.grad is None and head[1].weight.grad is None


def test_offset_of_a_strided_unit_by_hand():
    images = torch.ones(1, 3, 16, 16)
    layer = nn.Conv2d(3, 1, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    field = central_gradient(layer, images)[0].double().numpy()
    assert center_of_mass(field) == (8, 8)
    # Cell 4 of 8 is drawn about 4.5 * 2 = 9; the middle of pixel 8 is at 8.5.
    assert unit_offset(field, (8, 8)) == (-0.5, -0.5)
    layer.padding = (0, 0)
    padded = central_gradient(lambda images: layer(nn.functional.pad(images, (0, 1, 0, 1))), images)[0].double()
    assert unit_offset(padded.numpy(), (8, 8)) == (0.5, 0.5)
    assert unit_offset(np.zeros((4, 4)), (2, 2)) == (0, 0)


def test_shapes():
    rows, columns = np.indices((31, 31)) - 15
    disk = np.exp(-(rows**2 + columns**2) / (2 * 4.0**2))
    assert shape(disk) == pytest.approx({"anisotropy": 0, "crossness": 0}, abs=1e-3)
    cross = ((rows == 0) | (columns == 0)).astype(float)
    assert shape(cross) == pytest.approx({"anisotropy": 0, "crossness": 1})
    diagonals = (np.abs(rows) == np.abs(columns)).astype(float)
    assert shape(diagonals) == pytest.approx({"anisotropy": 0, "crossness": -1})
    assert shape((rows == 0).astype(float)) == pytest.approx({"anisotropy": 1, "crossness": 1})
    assert shape(np.roll(cross, (3, 2), (0, 1)))["crossness"] > 0.8
    assert shape((rows == 3) & (columns == 4)) == {"anisotropy": 0.0, "crossness": 0.0}


def test_strips_and_square_are_told_from_a_square_alone():
    strips = torch.zeros(1, 3, 51, 51)
    square = nn.Conv2d(3, 1, 21, padding=10, bias=False)
    tall, wide = (
        nn.Conv2d(3, 1, (21, 3), padding=(10, 1), bias=False),
        nn.Conv2d(3, 1, (3, 21), padding=(1, 10), bias=False),
    )
    for layer in (square, tall, wide):
        nn.init.ones_(layer.weight)
    cross = central_gradient(lambda images: tall(images) + wide(images), strips + 1)[0].double().numpy()
    full = central_gradient(square, strips + 1)[0].double().numpy()
    assert shape(cross)["crossness"] > 0.8 > 0 > shape(full)["crossness"]


def test_mean_field_streams():
    fields = np.random.default_rng(0).random((5, 4, 3))
    mean = MeanField()
    mean.add(fields[:2])
    mean.add(fields[2:])
    assert np.allclose(mean.result(), fields.mean(axis=0)) and mean.images == 5
    with pytest.raises(ValueError, match="no field"):
        MeanField().result()
