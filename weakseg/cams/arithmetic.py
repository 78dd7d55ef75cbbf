"""Arithmetic on activation maps: normalization, sizes, fusion, and the weighted sums of channels behind them.

Differs from the papers of the methods: with a pooled head every gradient is one number a channel, so a map of any
class is one product of (K,C) weights with the features and needs no backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from weakseg.cams.recipe import Fusion
from weakseg.errors import UserError
from weakseg.harness.device import double, put_beside


def minmax(maps: Tensor) -> Tensor:
    """Map the values of each (h,w) map in (...,h,w) onto [0, 1], both ends attained; a flat map becomes zeros.

    UserError where a value is not finite.
    """
    if not torch.isfinite(maps).all():
        raise UserError("an activation map holds NaN or infinity: check the classifier's weights, or retrain it")
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    span = high - low
    return torch.where(span > 0, (maps - low) / span.where(span > 0, 1), torch.zeros_like(maps))


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps (...,h,w) to size (H,W) bilinearly, cell areas aligned (half-pixel centers)."""
    flat = maps.reshape(1, -1, *maps.shape[-2:])  # (...,h,w) -> (1,N,h,w)
    return functional.interpolate(flat, list(size), mode="bilinear", align_corners=False).reshape(
        *maps.shape[:-2], *size
    )


def fuse(layers: list[Tensor], rule: Fusion) -> Tensor:
    """Fuse maps (B,K,h_i,w_i) of several layers to (B,K,h,w) on the largest grid by `mean` or `max`.

    Layers live on scales of their own, so each map is first divided by its largest absolute value; a map of
    zeros stays zeros. One layer is returned as it is.
    """
    if len(layers) == 1:
        return layers[0]
    size = max((layer.shape[-2:] for layer in layers), key=lambda shape: shape[0] * shape[1])
    peaks = [layer.abs().amax((-2, -1), keepdim=True) for layer in layers]
    scaled = [resize(layer / peak.where(peak > 0, 1), size) for layer, peak in zip(layers, peaks, strict=True)]
    stack = torch.stack(scaled)  # (layers,B,K,h,w)
    return stack.mean(0) if rule == "mean" else stack.amax(0)


def sum_channels(features: Tensor, weights: Tensor) -> Tensor:
    """Sum of channels (B,C,h,w) with weights (B,K,C): M_bk = sum_c weights_bkc A_bc, (B,K,h,w)."""
    table = weights.to(features.dtype) @ features.flatten(2)  # (B,K,C) @ (B,C,hw) -> (B,K,hw)
    return table.unflatten(-1, features.shape[-2:])


def norm(features: Tensor) -> Tensor:
    """Euclidean norm over channels, (B,C,h,w) -> (B,h,w)."""
    return features.square().sum(1).sqrt()


def repeat(maps: Tensor, classes: Tensor) -> Tensor:
    """Maps (B,h,w) that know no class, once for each of classes (B,K): (B,K,h,w), with memory of their own."""
    return maps[:, None].expand(-1, classes.shape[1], -1, -1).clone()


def cells(features: Tensor) -> int:
    """Z = h * w."""
    return features.shape[-2] * features.shape[-1]


def taylor_alpha(gradients: Tensor, total: Tensor) -> Tensor:
    """Grad-CAM++'s alpha = g^2 / (2 g^2 + S g^3) as 1 / (2 + S g), S = total activation of the channel.

    The short form is exact and does not underflow: no epsilon. For signed features 2 + S g can be zero or negative,
    where the expansion behind alpha does not exist: alpha = 0 there, the value leaves the sum.
    """
    denominator = 2 + total * gradients
    return torch.where(denominator > 0, 1 / denominator.where(denominator > 0, 1), torch.zeros_like(denominator))


def first_component(stacks: Tensor) -> Tensor:
    """Scores of the first principal component of stacks (B,C,h,w): (B,h,w), of zero mean, sign arbitrary.

    Cells are samples and channels are variables, centered per channel: U_1 s_1 of the singular value decomposition,
    from the smaller of the two Gram matrices, in float64. A stack that is flat in every channel gives zeros.
    """
    table = double(stacks.flatten(2))  # (B,C,Z)
    table = table - table.mean(2, keepdim=True)
    # eigh sorts ascending: the last vector is the first axis. The Gram matrix is (B,C,C) or (B,Z,Z), the smaller.
    if table.shape[1] < table.shape[2]:
        _, vectors = torch.linalg.eigh(table @ table.mT)
        scores = (vectors[..., -1:].mT @ table)[:, 0]  # (B,1,C) @ (B,C,Z) -> (B,Z)
    else:
        values, vectors = torch.linalg.eigh(table.mT @ table)
        scores = vectors[..., -1] * values[..., -1:].clamp(min=0).sqrt()
    return put_beside(scores.unflatten(-1, stacks.shape[-2:]), stacks)


def orient_along(maps: Tensor, references: Tensor) -> Tensor:
    """Flip the sign of each map (...,h,w) whose covariance with its reference (...,h,w) is negative."""
    centered = references - references.mean((-2, -1), keepdim=True)
    covariance = (maps * centered).mean((-2, -1), keepdim=True)
    return torch.where(covariance < 0, -maps, maps)


def orient_frame(maps: Tensor) -> Tensor:
    """Flip the sign of each map (...,h,w) whose outermost cells are higher on average than the whole map.

    So the frame of the image is background. A map of one or two cells in height or width is all frame and stays.
    """
    inside = torch.zeros(maps.shape[-2:], dtype=torch.bool, device=maps.device)
    inside[1:-1, 1:-1] = True
    frame = (maps * ~inside).sum((-2, -1), keepdim=True) / (~inside).sum()
    return torch.where(frame > maps.mean((-2, -1), keepdim=True), -maps, maps)
