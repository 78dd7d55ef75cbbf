"""Map arithmetic by hand."""

from __future__ import annotations

import pytest
import torch

from weakseg.cams import arithmetic, extraction, multiscale
from weakseg.errors import UserError
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier, PooledHead


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
    with pytest.raises(ValueError, match="unknown fusion 'sum'"):
        arithmetic.fuse([coarse, fine], "sum")


def test_weighted_is_the_naive_sum():
    features, weights = torch.randn(2, 5, 3, 4), torch.randn(2, 7, 5)
    naive = torch.stack([sum(weights[:, k, c, None, None] * features[:, c] for c in range(5)) for k in range(7)], 1)
    torch.testing.assert_close(arithmetic.weighted(features, weights), naive)


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


def test_views_and_mean_undo_scale_and_mirror():
    """A compute that returns the image's own first channel: every view is mirrored back before the mean."""
    images = torch.rand(2, 3, 8, 6)
    found = multiscale.average(lambda x: x[:, :1], images, scales=[1.0], flip=True, relu=False)
    torch.testing.assert_close(found, images[:, :1])
    shapes = [tuple(view.shape[-2:]) for view, _ in multiscale.views(images, [1.0, 0.5, 2.0], True)]
    assert shapes == [(8, 6), (8, 6), (4, 3), (4, 3), (16, 12), (16, 12)]
    flat = torch.full((1, 3, 8, 8), -2.0)
    both = [multiscale.average(lambda x: x[:, :1], flat, scales=[0.5, 1.0], flip=False, relu=relu) for relu in (0, 1)]
    torch.testing.assert_close(both[0], torch.full((1, 1, 4, 4), -2.0))
    assert not both[1].any()


def test_predicted_classes():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    options = {"count": 2, "score": 0.4, "target": "single"}
    assert extraction.predicted(logits, "top1", **options) == [[0], [0]]
    assert extraction.predicted(logits, "topk", **options) == [[0, 1], [0, 1]]
    assert extraction.predicted(logits, "above", **options) == [[0], [0]]
    assert extraction.predicted(logits, "above", **{**options, "target": "multi"}) == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(UserError, match="choose one of top1, topk, above"):
        extraction.predicted(logits, "best", **options)
    assert extraction.padded([[4], [2, 0, 1]]).tolist() == [[4, 4, 4], [2, 0, 1]]


def test_projection_finds_the_axes_and_streams():
    table = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 1.0, 0.1])
    features = (table @ torch.linalg.qr(torch.randn(3, 3))[0] + 2).T.reshape(1, 3, 50, 10)
    moments = extraction.Moments()
    moments.add(features[..., :4])
    moments.add(features[..., 4:])
    found = moments.principal(2)
    torch.testing.assert_close(found.axes.T @ found.axes, torch.eye(2, dtype=torch.float64))
    low = found(features)
    assert low.shape == (1, 2, 50, 10)
    assert low.mean((2, 3)).abs().max() < 1e-4
    covariance = torch.cov(low.flatten(2)[0])
    assert covariance[0, 0] > 15 and 0.5 < covariance[1, 1] < 2 and abs(covariance[0, 1]) < 1e-2


def network() -> Classifier:
    def block(a: int, b: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Conv2d(a, b, 3, 1, 1))

    return Classifier(torch.nn.Sequential(block(3, 4), block(4, 5), block(5, 6)), PooledHead(6, 2), 1)


def test_levels_of_one_pass_are_those_of_separate_passes():
    classifier, images = network(), torch.randn(2, 3, 8, 8)
    before = images.clone()
    found = levels.outputs(classifier, images.clone(), [0, -2, 2])
    assert sorted(found) == [1, 2, 3]
    for level in (1, 2, 3):
        torch.testing.assert_close(found[level], classifier.features_at(before.clone(), level))


def test_view_is_the_same_classifier():
    classifier, images = network(), torch.randn(2, 3, 8, 8)
    for level in (0, -1, 1):
        view = levels.View(classifier, level)
        torch.testing.assert_close(view(images.clone()), classifier(images.clone()))
        torch.testing.assert_close(
            view.features(images.clone()),
            levels.outputs(classifier, images.clone(), [level])[levels.counted(classifier, level)],
        )
    assert levels.View(classifier, 0).head is classifier.head
    known = torch.zeros(2, 6, 8, 8)
    view = levels.View(classifier, 0, (images, known))
    assert view.features(images) is known
    assert view.features(images.clone()).any()


def test_evaluating_restores_each_mode_after_an_error():
    classifier = network()
    classifier.blocks[1].eval()
    before = [module.training for module in classifier.modules()]
    with pytest.raises(RuntimeError), levels.evaluating(classifier):
        assert not any(module.training for module in classifier.modules())
        raise RuntimeError
    assert [module.training for module in classifier.modules()] == before


def test_flaw_names_the_weight():
    classifier = network()
    assert levels.flaw(classifier) is None
    classifier.head.bias.data[0] = float("inf")
    with pytest.raises(UserError, match=r"'head\.linear\.bias' holds NaN or infinity"):
        levels.require_finite(classifier)
