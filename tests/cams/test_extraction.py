"""Which classes are looked at, and the axes that features are stored along."""

from __future__ import annotations

import torch

from weakseg.cams import extraction, predicted_classes
from weakseg.cams.recipe import Recipe


def test_predicted_classes() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    one, several = logits.softmax(1), logits.sigmoid()
    top1, topk, above = (
        Recipe.model_construct(predicted=rule, predicted_count=2, predicted_score=0.4)
        for rule in ("top1", "topk", "above")
    )
    assert predicted_classes.predict_classes(logits, one, top1) == [[0], [0]]
    assert predicted_classes.predict_classes(logits, one, topk) == [[0, 1], [0, 1]]
    assert predicted_classes.predict_classes(logits, one, above) == [[0], [0]]
    assert predicted_classes.predict_classes(logits, several, above) == [[0, 1, 2], [0, 1, 2]]
    assert predicted_classes.pad([[4], [2, 0, 1]]).tolist() == [[4, 4, 4], [2, 0, 1]]
    assert predicted_classes.pad([[], [3, 1]]).tolist() == [[0, 0], [3, 1]]
    assert predicted_classes.pad([[], []]).tolist() == [[0], [0]]


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
