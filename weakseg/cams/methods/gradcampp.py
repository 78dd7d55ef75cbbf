"""Grad-CAM++. Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++: Improved visual explanations for deep
convolutional networks" (2018), arXiv 1710.11063.

Differs from the paper: where 2 + S g <= 0 (features of both signs only) a value is left out, as alpha does not exist.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """ReLU(sum_k ReLU(v_k) / (2 + v_k p_k) A_k), p_k = mean(A_k): alpha is the same in all Z cells."""
    # S g = (Z p)(v / Z) = v p, and the sum over Z cells takes the 1 / Z of ReLU(g) = ReLU(v) / Z away.
    alpha = arithmetic.taylor_alpha(slopes, features.mean((2, 3))[:, None])  # p: (B,1,C) -> alpha (B,K,C)
    return arithmetic.sum_channels(features, alpha * slopes.relu()).relu()


def general(features: Tensor, gradient: Tensor) -> Tensor:
    """ReLU(sum_k W_k A_k), W_k = sum_ij alpha ReLU(g), from the gradient (B,C,h,w) of one class."""
    alpha = arithmetic.taylor_alpha(gradient, features.sum((2, 3), keepdim=True))  # S: (B,C,1,1)
    weights = (alpha * gradient.relu()).sum((2, 3), keepdim=True)  # W: (B,C,1,1)
    return (weights * features).sum(1).relu()


def maps(view: View, classes: Tensor) -> Tensor:
    """M = ReLU(sum_k W_k A_k), W_k = sum_ij alpha ReLU(g), alpha = g^2 / (2 g^2 + (sum_ab A_ab) g^3).

    classes (B,K) -> (B,K,h,w), >= 0.
    """
    return gradients.compute_maps(view, classes, closed, general)
