"""The head of a network of timm as a head on grids: pooled where it can be, else timm's own.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from weakseg.networks.classifier import LinearHead, PooledHead
from weakseg.networks.loading.timm_network import TimmNetwork, agree, draw, find_called, keep
from weakseg.networks.loading.token_form import CELLS, Form


class Forward(nn.Module):
    """A network's own `forward_head` as a head: features (B,C,h,w), in whatever form it wants them, to logits (B,K)."""

    def __init__(self, network: nn.Module, form: Form = CELLS) -> None:
        super().__init__()
        self.network, self.form = network, form

    def forward(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,K)."""
        return self.network.forward_head(self.form.own(features))  # type: ignore[operator]


class TokenHead(LinearHead):
    """A linear layer on what a network pools by itself: its class token, the mean of all tokens, or by attention."""

    def __init__(self, network: nn.Module, form: Form, linear: nn.Linear) -> None:
        super().__init__()
        self.network, self.form, self.linear = network, form, linear

    def pooled(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C')."""
        return self.network.forward_head(self.form.own(features), pre_logits=True)  # type: ignore[operator]


def take_linear(head: nn.Module) -> nn.Linear:
    """The last linear layer, taken out of a network's head, where it has just that one."""
    linear = head.get_classifier()  # type: ignore[operator]
    (name,) = (name for name, module in head.named_modules() if module is linear)
    parent, _, last = name.rpartition(".")
    setattr(head.get_submodule(parent), last, nn.Identity())
    return linear


def build_pooled_heads(network: TimmNetwork, channels: int) -> Iterator[PooledHead]:
    """The pooled heads the network's head may be: its last linear layer, after the LayerNorm of its head if any."""
    from timm.layers import LayerNorm2d

    linear = network.get_classifier()
    if not isinstance(linear, nn.Linear) or linear.in_features != channels:
        return
    norms = getattr(getattr(network, "head", None), "norm", None), getattr(network, "fc_norm", None)
    for norm in norms:
        if isinstance(norm, (LayerNorm2d, nn.LayerNorm)):
            head = PooledHead(channels, linear.out_features, "layernorm", norm.eps)
            head.norm.load_state_dict(norm.state_dict())
            head.linear.load_state_dict(linear.state_dict())
            yield head.eval()
    head = PooledHead(channels, linear.out_features)
    head.linear.load_state_dict(linear.state_dict())
    yield head.eval()


def find_head(network: TimmNetwork, features: Tensor, form: Form = CELLS) -> nn.Module:
    """The network's head on features (B,C,h,w): a PooledHead where one gives the same logits, else timm's own.

    timm's own keeps its last linear layer apart where it has one behind a grid of tokens.
    """

    def wanted(grid: Tensor) -> Tensor:
        return network.forward_head(form.own(grid))

    for head in build_pooled_heads(network, features.shape[1]):
        if agree(head, wanted, features):
            return head
    called = find_called(network, "forward_head", form.own(features))
    if form.kind == "tokens" and isinstance(network.get_classifier(), nn.Linear):
        own = copy.deepcopy(keep(network, called, weights=False))
        linear = TokenHead(own, form, take_linear(own))
        if agree(linear, wanted, features):
            return linear
    return Forward(copy.deepcopy(keep(network, called, weights=False)), form)


@torch.enable_grad()
def read_by_head(network: TimmNetwork, form: Form, grid: Tensor, channels: int) -> tuple[bool, bool]:
    """Whether a network's head reads the cells of a grid (B,C(1+P),h,w), and its other tokens."""
    leaf = grid.detach().requires_grad_()
    # What is pooled, before the last layer, whose weights may be zero; times random numbers, whose sum no norm fixes.
    pooled = network.forward_head(form.own(leaf), pre_logits=True)
    (gradient,) = torch.autograd.grad((pooled * draw(*pooled.shape)).sum(), leaf)
    return bool(gradient[:, :channels].any()), bool(gradient[:, channels:].any())
