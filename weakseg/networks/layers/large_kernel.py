"""A depthwise convolution with a large kernel, trained as a sum of branches and mergeable into one kernel.

X. Ding, X. Zhang, Y. Zhou, J. Han, G. Ding, J. Sun, "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design
in CNNs", 2022, arXiv:2203.06717
S. Liu, T. Chen, X. Chen, X. Chen, Q. Xiao, B. Wu, M. Pechenizkiy, D. Mocanu, Z. Wang, "More ConvNets in the 2020s:
Scaling up Kernels Beyond 51x51 using Sparsity", 2022, arXiv:2207.03620
X. Ding et al., "UniRepLKNet", 2023, arXiv:2311.15599
Differs from the papers: plain torch convolutions instead of CUDA kernels; SLaK's strips merge too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from weakseg.networks.layers.reparameterize import ConvNorm, Kernel, merge_branches


class Branch(NamedTuple):
    """One depthwise convolution of the sum: kernel height and width (odd), dilation, and its weight in the sum."""

    height: int
    width: int
    dilation: int = 1
    weight: float = 1.0


class LargeKernel(nn.Module):
    """sum_i weight_i BN_i(conv_i(x)) over named depthwise branches, or, once merged, one convolution `lkb_reparam`."""

    def __init__(self, channels: int, branches: dict[str, Branch]) -> None:
        super().__init__()
        self.weights = {name: branch.weight for name, branch in branches.items()}
        for name, branch in branches.items():
            kernel = Kernel((branch.height, branch.width), dilation=branch.dilation)
            self.add_module(name, ConvNorm(channels, channels, kernel, groups=channels))

    @property
    def is_merged(self) -> bool:
        """Whether the branches are one kernel."""
        return not self.weights

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        if self.is_merged:
            return self.lkb_reparam(inputs)
        first, *others = self.weights
        total = self._weigh(first, inputs)
        for name in others:
            total = total + self._weigh(name, inputs)
        return total

    def _weigh(self, name: str, inputs: Tensor) -> Tensor:
        output = getattr(self, name)(inputs)
        return output if self.weights[name] == 1 else self.weights[name] * output

    def merge(self) -> None:
        """Replace the branches by their merged kernel; nothing to do when that is so already."""
        if self.is_merged:
            return
        branches = [getattr(self, name) for name in self.weights]
        self.lkb_reparam = merge_branches(branches, list(self.weights.values()))
        for name in self.weights:
            delattr(self, name)
        self.weights = {}

    def adopt(self, state: dict[str, Any], prefix: str) -> None:
        """Merge first where the state dict to load holds the merged kernel."""
        if f"{prefix}lkb_reparam.weight" in state:
            self.merge()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self.adopt(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
