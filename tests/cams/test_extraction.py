"""Which classes are looked at, and the axes that features are stored along."""

from __future__ import annotations

import torch

from weakseg.cams import extraction


def test_predicted_classes():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    options = {"count": 2, "score": 0.4, "target": "single"}
    assert extraction.predict_classes(logits, "top1", **options) == [[0], [0]]
    assert extraction.predict_classes(logits, "topk", **options) == [[0, 1], [0, 1]]
    assert extraction.predict_classes(logits, "above", **options) == [[0], [0]]
    assert extraction.predict_classes(logits, "above", **{**options, "target": "multi"}) == [[0, 1, 2], [0, 1, 2]]
    assert extraction.pad([[4], [2, 0, 1]]).tolist() == [[4, 4, 4], [2, 0, 1]]


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
