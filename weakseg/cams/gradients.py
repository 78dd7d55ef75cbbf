"""Gradients of class logits with respect to features: in closed form for pooled heads, by autograd for all others.

y is the logit of a class, never its probability; A (C,h,w) are an image's features, Z = h * w its cells, p_c the mean
of channel c over them; g = dy/dA.
A pooled head sees A through p alone, so g is the same in every cell of a channel: g_c = v_c / Z with the slope
v_c = dy/dp_c, and one row of C numbers a class stands for the whole gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from weakseg.cams.view import View
from weakseg.errors import UserError
from weakseg.networks.classifier import PooledHead
from weakseg.networks.levels import evaluating

Closed = Callable[[Tensor, Tensor], Tensor]
General = Callable[[Tensor, Tensor], Tensor]
ChannelWeights = Literal["class", "raw"]


def check_classes(classes: Tensor, total: int) -> None:
    """UserError where a class index is outside 0..total-1."""
    if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < total:
        worst = int(classes.min()) if int(classes.min()) < 0 else int(classes.max())
        raise UserError(f"class {worst} does not exist: this classifier has classes 0 to {total - 1}")


def require_pooled(head: nn.Module, method: str) -> PooledHead:
    """The head itself where it is a pooled one; UserError names the methods that work with any head."""
    if not isinstance(head, PooledHead):
        raise UserError(
            f"{method} needs the last layer of a classifier whose head is a global average pool and one linear layer;"
            " with another head or an inner layer use gradcam, gradcampp, hirescam, layercam, xgradcam, scorecam,"
            " eigencam or featnorm"
        )
    return head


def select_rows(head: PooledHead, classes: Tensor) -> Tensor:
    """w (B,K,C): the linear layer's own weights of classes (B,K), whatever norm the head has."""
    check_classes(classes, head.linear.out_features)
    return head.weight[classes]


def layernorm_terms(head: PooledHead, features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u - mean(u) (B,K,C), z (B,1,C) and 1/sigma (B,1,1) of a LayerNorm after the pooling.

    u = gamma * w with `rows` w (B,K,C); z = (p - mean p) / sigma; means and sigma are over the C channels of p.
    """
    pooled = features.mean((2, 3))[:, None]  # p: (B,C,h,w) -> (B,1,C), one row for all classes
    centered = pooled - pooled.mean(-1, keepdim=True)
    rate = torch.rsqrt(centered.square().mean(-1, keepdim=True) + head.norm.eps)  # (B,1,1)
    scaled = rows * head.norm.weight
    return scaled - scaled.mean(-1, keepdim=True), centered * rate, rate


def decomposition(head: PooledHead, features: Tensor, classes: Tensor) -> Tensor:
    """d (B,K,C) such that y = sum_c d_c p_c + a constant of the class: the map sum_c d_c A_c has y as its mean.

    none: w. batchnorm: w gamma / sqrt(var + eps). layernorm: (u - mean u) / sigma, u = gamma w, sigma of the image.
    """
    rows = select_rows(head, classes)
    # BatchNorm multiplies each channel by a number that no image changes: fold it into w.
    if head.kind == "batchnorm":
        return rows * (head.norm.weight * torch.rsqrt(head.norm.running_var + head.norm.eps))
    # LayerNorm: y = sum_c u_c (p_c - mean p) / sigma + const, and moving the centering from p to u changes no sum.
    if head.kind == "layernorm":
        centered, _, rate = layernorm_terms(head, features, rows)
        return centered * rate
    return rows


def slopes(head: PooledHead, features: Tensor, classes: Tensor) -> Tensor:
    """v = dy/dp = Z g (B,K,C): the gradient of each class's logit with respect to the channel means.

    none and batchnorm: as `decomposition`, which no image changes there. layernorm: sigma depends on p too,
    v = (u - mean(u) - z mean(u z)) / sigma, z = (p - mean p) / sigma.
    """
    if head.kind != "layernorm":
        return decomposition(head, features, classes)
    centered, normed, rate = layernorm_terms(head, features, select_rows(head, classes))
    # mean(u z) is taken from the centered u: z has no mean, so the two are equal.
    return (centered - normed * (centered * normed).mean(-1, keepdim=True)) * rate


def weigh_channels(head: PooledHead, features: Tensor, classes: Tensor, weights: ChannelWeights) -> Tensor:
    """Weights (B,K,C) of the channels: `class` is `decomposition`, `raw` the linear layer's own."""
    return decomposition(head, features, classes) if weights == "class" else select_rows(head, classes)


@torch.no_grad()
def compute_maps(view: View, classes: Tensor, closed: Closed, general: General) -> Tensor:
    """Maps (B,K,h,w) of a gradient method: `closed(features, slopes)` where the head is pooled, else by autograd."""
    if isinstance(view.head, PooledHead):
        return closed(view.features, slopes(view.head, view.features, classes))
    return differentiate(view, classes, general)


@torch.no_grad()
def differentiate(view: View, classes: Tensor, general: General) -> Tensor:
    """`general(features (B,C,h,w), gradient (B,C,h,w)) -> (B,h,w)` for each class, stacked to (B,K,h,w).

    The backward pass stops at the features; one pass a class keeps the memory that of one gradient. No parameter's
    `.grad` is touched.
    """
    with evaluating(view.head), torch.enable_grad():
        leaf = view.features.detach().requires_grad_()
        logits = view.head(leaf.clone())  # a copy: the head may begin with an operation in place
        check_classes(classes, logits.shape[1])
        # Images do not mix, so the gradient of the sum over the batch holds each image's own: K sums, one a column.
        totals = logits.gather(1, classes).sum(0).unbind()  # (B,K) -> K numbers
    found = []
    for column, total in enumerate(totals, 1):
        (gradient,) = torch.autograd.grad(total, leaf, retain_graph=column < len(totals))
        found.append(general(view.features, gradient))
    return torch.stack(found, 1)  # K of (B,h,w) -> (B,K,h,w)
