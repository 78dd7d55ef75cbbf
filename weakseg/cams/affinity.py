"""A random walk on affinities between cells: what one cell is thought to show, cells like it show too.

Ahn, Kwak, "Learning pixel-level semantic affinity with image-level supervision for weakly supervised semantic
segmentation" (2018), arXiv 1803.10464 (AffinityNet): the walk; Lin, Chen, Wang, Wu, Li, Lin, Liu, He, "CLIP is also an
efficient segmenter" (2023), arXiv 2212.09506: a transformer's own attention as affinity; Ru, Zhan, Yu, Du, "Learning
affinity from attention" (2022), arXiv 2203.02664, why it has to be made symmetric; Sinkhorn, "A relationship between
arbitrary positive matrices and doubly stochastic matrices" (1964).
Differs from the papers: nothing is learned, and no box keeps the walk inside of what a map already marks.
"""

from __future__ import annotations

import torch
from torch import Tensor

SINKHORN_ROUNDS = 3  # of columns and rows; sums are within a few percent of 1 by then


def normalize_rows(weights: Tensor) -> Tensor:
    """Weights (B,N,N) >= 0 with rows that sum to 1; a row of zeros stays where it is: 1 on the diagonal."""
    totals = weights.sum(2, keepdim=True)
    diagonal = torch.eye(weights.shape[1]).to(weights)
    return torch.where(totals > 0, weights / totals.where(totals > 0, 1), diagonal)


def balance(weights: Tensor) -> Tensor:
    """Weights (B,N,N) whose columns and rows sum to 1, nearly: no cell counts for much more than others.

    Tokens that all others look at, as transformers have them, would draw every map to themselves otherwise.
    """
    for _ in range(SINKHORN_ROUNDS):
        weights = normalize_rows(normalize_rows(weights.mT).mT)
    return weights


def find_transition(attention: Tensor, power: float) -> Tensor:
    """T = D^-1 S^power (B,N,N), rows summing to 1: where a walk goes from each cell, in one step.

    S = (W + W^T) / 2 of the balanced attention W (B,N,N) between cells, raised entry by entry; D its sums of rows.
    """
    weights = balance(attention)
    symmetric = (weights + weights.mT) / 2
    scaled = symmetric / symmetric.amax(2, keepdim=True)  # so that no row vanishes by its power
    return normalize_rows(scaled**power)


def propagate(maps: Tensor, transition: Tensor, steps: int) -> Tensor:
    """T^steps M of maps (B,K,h,w): each cell's value becomes a mean over cells; a constant map stays what it is."""
    columns = maps.flatten(2).mT  # (B,K,h,w) -> (B,hw,K)
    for _ in range(steps):
        columns = transition @ columns
    return columns.mT.unflatten(2, maps.shape[2:])
