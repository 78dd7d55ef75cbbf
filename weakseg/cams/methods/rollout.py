"""Attention rollout: how much of each cell reaches what a transformer's head reads, a map that knows no class.

Abnar, Zuidema, "Quantifying attention flow in transformers" (2020), arXiv 2005.00928.
Differs from the paper: where the head pools cells, the mean of their rows stands for the class token's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weakseg.cams import arithmetic
from weakseg.cams.view import View
from weakseg.errors import UserError
from weakseg.networks import attention
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import evaluating


@torch.no_grad()
def maps(view: View, classes: Tensor) -> Tensor:
    """M = the row of R = prod_l (W_l / 2 + I / 2) that the head reads, W_l the mean attention of block l's heads.

    The same for every class, and from whatever level. classes (B,K) -> (B,K,h,w), in [0, 1], summing to at most 1.
    UserError where a block has no attention of all tokens to all.
    """
    if not isinstance(view.network, Classifier):
        raise UserError("rollout needs a whole classifier: use eigencam or featnorm for what is none")
    with evaluating(view.network):
        rolled = attention.roll_out(view.network, view.images)
    return arithmetic.repeat(rolled, classes)
