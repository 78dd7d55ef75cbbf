"""Gradients of class logits with respect to features: in closed form for pooled heads, by autograd for all others.

y is the logit, never the probability; g = dy/dA; Z = h * w; p = mean of A over the cells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.levels import evaluating

Closed = Callable[[Tensor, Tensor], Tensor]
General = Callable[[Tensor, Tensor], Tensor]
Weights = Callable[[PooledHead, Tensor, Tensor], Tensor]


def check_classes(classes: Tensor, total: int) -> None:
    """UserError where a class index is outside 0..total-1."""
    if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < total:
        worst = int(classes.min()) if int(classes.min()) < 0 else int(classes.max())
        raise UserError(f"class {worst} does not exist: this classifier has classes 0 to {total - 1}")


def layernorm_terms(head: PooledHead, features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u - mean(u) (B,K,C), z (B,1,C) and 1/sigma (B,1,1) of a LayerNorm after the pooling, u = gamma * w."""
    pooled = features.mean((2, 3))[:, None]
    centered = pooled - pooled.mean(-1, keepdim=True)
    rate = torch.rsqrt(centered.square().mean(-1, keepdim=True) + head.norm.eps)
    scaled = rows * head.norm.weight
    return scaled - scaled.mean(-1, keepdim=True), centered * rate, rate


def decomposition(head: PooledHead, features: Tensor, classes: Tensor) -> Tensor:
    """Weights (B,K,C) whose weighted sum of channels has the logit as its spatial mean, up to a class constant.

    none: w. batchnorm: w gamma / sqrt(var + eps). layernorm: (u - mean u) / sigma, u = gamma w, sigma of the image.
    """
    check_classes(classes, head.linear.out_features)
    rows = head.weight[classes]
    if head.kind == "batchnorm":
        return rows * (head.norm.weight * torch.rsqrt(head.norm.running_var + head.norm.eps))
    if head.kind == "layernorm":
        centered, _, rate = layernorm_terms(head, features, rows)
        return centered * rate
    return rows


def slopes(head: PooledHead, features: Tensor, classes: Tensor) -> Tensor:
    """v = Z g (B,K,C): the gradient of each class's logit with respect to the channel means p.

    none and batchnorm: as `decomposition`, which is linear there. layernorm, where sigma depends on p too:
    v = (u - mean(u) - z mean(u z)) / sigma, z = (p - mean p) / sigma.
    """
    if head.kind != "layernorm":
        return decomposition(head, features, classes)
    check_classes(classes, head.linear.out_features)
    centered, normed, rate = layernorm_terms(head, features, head.weight[classes])
    return (centered - normed * (centered * normed).mean(-1, keepdim=True)) * rate


def raw(head: PooledHead, features: Tensor, classes: Tensor) -> Tensor:
    """w (B,K,C): the linear layer's own weights, whatever norm the head has."""
    check_classes(classes, head.linear.out_features)
    return head.weight[classes]


def pooled(classifier: Classifier, method: str) -> PooledHead:
    """The classifier's head where it is a pooled one; UserError names the methods that work with any head."""
    head = classifier.head
    if not isinstance(head, PooledHead):
        raise UserError(
            f"{method} needs the last layer of a classifier whose head is a global average pool and one linear layer;"
            " with another head or an inner layer use gradcam, gradcampp, hirescam, layercam, xgradcam, scorecam,"
            " eigencam or featnorm"
        )
    return head


@torch.no_grad()
def pooled_maps(
    classifier: Classifier, images: Tensor, classes: Tensor, closed: Closed, weights: Weights, method: str
) -> Tensor:
    """`closed(features (B,C,h,w), weights(head, features, classes) (B,K,C))`; UserError: the head is not pooled."""
    head = pooled(classifier, method)
    with evaluating(classifier):
        features = classifier.features(images)
        return closed(features, weights(head, features, classes))


def autograd_maps(classifier: Classifier, images: Tensor, classes: Tensor, general: General) -> Tensor:
    """`general(features (B,C,h,w), gradients (B,C,h,w)) -> (B,h,w)` for each class, stacked to (B,K,h,w).

    The backward pass stops at the features, which are computed without a graph; one pass a class keeps the memory
    that of one gradient. No parameter's `.grad` is touched.
    """
    with evaluating(classifier):
        with torch.no_grad():
            features = classifier.features(images)
        with torch.enable_grad():
            leaf = features.detach().requires_grad_()
            logits = classifier.logits(leaf.clone())
            check_classes(classes, logits.shape[1])
            totals = logits.gather(1, classes).sum(0).unbind()
        found = []
        for column, total in enumerate(totals, 1):
            (gradient,) = torch.autograd.grad(total, leaf, retain_graph=column < len(totals))
            found.append(general(features, gradient))
        return torch.stack(found, 1)


def maps(classifier: Classifier, images: Tensor, classes: Tensor, closed: Closed, general: General) -> Tensor:
    """Maps (B,K,h,w) of a gradient method: `closed(features, slopes)` where the head is pooled, else autograd."""
    if isinstance(classifier.head, PooledHead):
        return pooled_maps(classifier, images, classes, closed, slopes, "a closed form")
    return autograd_maps(classifier, images, classes, general)


@torch.no_grad()
def agnostic_maps(classifier: Classifier, images: Tensor, classes: Tensor, rule: Callable[[Tensor], Tensor]) -> Tensor:
    """`rule(features (B,C,h,w)) -> (B,h,w)`, the same map for each of the K classes: (B,K,h,w)."""
    with evaluating(classifier):
        found = rule(classifier.features(images))
    return found[:, None].expand(-1, classes.shape[1], -1, -1).clone()
