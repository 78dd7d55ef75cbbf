"""Map arithmetic by hand."""

from __future__ import annotations

import pytest
import torch

from weakseg.cams import arithmetic
from weakseg.errors import UserError


def test_minmax_attains_both_ends_and_a_flat_map_is_zeros():
    found = arithmetic.minmax(torch.tensor([[[-1.0, 3.0], [1.0, 0.0]], [[5.0, 5.0], [5.0, 5.0]]]))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 1.0], [0.5, 0.25]], [[0.0, 0.0], [0.0, 0.0]]]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_minmax_refuses_what_is_not_finite(bad):
    with pytest.raises(UserError, match="NaN or infinity"):
        arithmetic.minmax(torch.tensor([[0.0, bad]]))


def test_fusion_by_hand_on_the_largest_grid():
    coarse, fine = torch.tensor([[[[4.0]]]]), torch.tensor([[[[0.0, 1.0], [2.0, 0.0]]]])
    mean = arithmetic.fuse([coarse, fine], "mean")
    torch.testing.assert_close(mean, torch.tensor([[[[0.5, 0.75], [1.0, 0.5]]]]))
    torch.testing.assert_close(arithmetic.fuse([coarse, fine], "max"), torch.ones(1, 1, 2, 2))
    assert arithmetic.fuse([coarse], "mean") is coarse
    torch.testing.assert_close(arithmetic.fuse([0 * coarse, fine], "max"), fine / 2)


def test_sum_of_channels_is_the_naive_sum():
    features, weights = torch.randn(2, 5, 3, 4), torch.randn(2, 7, 5)
    naive = torch.stack([sum(weights[:, k, c, None, None] * features[:, c] for c in range(5)) for k in range(7)], 1)
    torch.testing.assert_close(arithmetic.sum_channels(features, weights), naive)


def test_taylor_alpha_is_the_published_ratio_and_guarded():
    g, total = torch.tensor([0.3, -0.2, 1.0, 1.0]).double(), torch.tensor([2.0, 1.0, -2.0, -5.0]).double()
    expected = g[:2] ** 2 / (2 * g[:2] ** 2 + total[:2] * g[:2] ** 3)
    found = arithmetic.taylor_alpha(g, total)
    torch.testing.assert_close(found[:2], expected)
    assert found[2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("channels", [3, 40])
def test_first_component_is_that_of_the_svd(channels):
    stacks = torch.randn(2, channels, 4, 5).double()
    found = arithmetic.first_component(stacks)
    for one, stack in zip(found, stacks, strict=True):
        table = stack.flatten(1).T - stack.flatten(1).T.mean(0)
        left, values, _ = torch.linalg.svd(table, full_matrices=False)
        expected = (left[:, 0] * values[0]).view(4, 5)
        torch.testing.assert_close(one * torch.sign((one * expected).sum()), expected)
    assert not arithmetic.first_component(torch.ones(1, channels, 4, 5)).any()


def test_orientation():
    peak = torch.zeros(1, 5, 5)
    peak[0, 2, 2] = 1
    torch.testing.assert_close(arithmetic.orient_frame(-peak), peak)
    torch.testing.assert_close(arithmetic.orient_frame(peak), peak)
    torch.testing.assert_close(arithmetic.orient_along(-peak, peak + 7), peak)
    thin = torch.tensor([[[1.0, 5.0]]])
    torch.testing.assert_close(arithmetic.orient_frame(thin), thin)


def test_resize_keeps_a_flat_map_and_leading_axes():
    assert arithmetic.resize(torch.full((2, 3, 4, 4), 0.5), (7, 9)).shape == (2, 3, 7, 9)
    torch.testing.assert_close(arithmetic.resize(torch.full((4, 4), 0.5), (7, 9)), torch.full((7, 9), 0.5))


def test_norm_and_repeat_by_hand():
    lengths = arithmetic.norm(torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3))
    torch.testing.assert_close(lengths, torch.full((1, 2, 3), 5.0))
    found = arithmetic.repeat(lengths, torch.tensor([[7, 1]]))
    torch.testing.assert_close(found, torch.full((1, 2, 2, 3), 5.0))
    found[:, 0] = 0
    assert found[:, 1].all() and lengths.all()
