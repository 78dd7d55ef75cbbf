"""Random walk on the graph of superpixels: neighbors of like color and features share their probabilities.

Learning with Local and Global Consistency (Zhou, Bousquet, Lal, Weston, Schölkopf, 2003); affinities for class
activation maps: Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations (Ahn, Cho, Kwak, 2019,
arXiv:1904.05044).
Differs from the paper: nodes are superpixels and affinities come from color and stored features, so that nothing is
learned and the sparse system has a few thousand entries for an image of any size.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from weakseg.data import grids
from weakseg.masks import pseudomasks, superpixels
from weakseg.masks.refining import appearance


def transition(segments: np.ndarray, looks: list[np.ndarray], strengths: list[float]) -> sparse.csr_matrix:
    """Row-stochastic matrix (S,S) between touching segments.

    Weight exp(-sum_l strength_l d_l), d_l the squared distance of the segments' means of look l (D,H,W) over its mean
    on all edges. A segment without neighbors has an empty row.
    """
    pairs = superpixels.find_neighbors(segments)  # (E,2)
    cost = np.zeros(len(pairs))
    for look, strength in zip(looks, strengths, strict=True):
        means = superpixels.average(look, segments)  # (S,D)
        cost += strength * appearance.relative_squares(means[pairs[:, 0]], means[pairs[:, 1]])
    size = int(segments.max()) + 1
    weights = sparse.coo_matrix((np.exp(-cost), (pairs[:, 0], pairs[:, 1])), (size, size))
    weights = (weights + weights.T).tocsr()  # each pair stands there once, as i < j
    degree = np.asarray(weights.sum(1)).ravel()  # (S,)
    return sparse.diags(1 / np.where(degree > 0, degree, 1)) @ weights


def walk(start: np.ndarray, step: sparse.csr_matrix, restart: float) -> np.ndarray:
    """restart * sum_n (1 - restart)^n step^n start, for start (S,C): where walks that restart with that chance end."""
    # The series' closed form restart (I - (1 - restart) step)^-1 start: one sparse factorization serves all classes.
    matrix = sparse.identity(step.shape[0], format="csc") - (1 - restart) * step.tocsc()
    return restart * linalg.splu(matrix).solve(np.ascontiguousarray(start, np.float64))


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    band: float,
    restart: float,
    color: float,
    feature: float,
    longest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 from scores (K,h,w), superpixels (H,W) and features (D,h',w'): 0, j + 1, or 255 within `band`.

    `restart` in (0, 1]; 1 gives the superpixels' means. `color` and `feature` weigh the distances; without features
    color alone counts. Means over superpixels are taken at `longest` pixels.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], longest)
    small = superpixels.renumber(grids.resize_ids(segments, shape))  # shrinking may lose ids
    looks, strengths = [appearance.lab(grids.resize_image(image, shape))], [color]
    if features is not None and features.size:
        looks, strengths = [*looks, grids.resize(appearance.unit(features), shape)], [color, feature]
    probability = pseudomasks.class_probabilities(grids.resize(scores, shape), threshold)  # (K+1,*shape)
    start = superpixels.average(probability, small)  # (S,K+1)
    ended = walk(start, transition(small, looks, strengths), restart)
    logits = pseudomasks.log_odds(ended.T).T  # (S,K)
    mask = grids.decide(superpixels.paint(logits, small), 0.0, 0.0 if decide_all else band)
    return grids.resize_ids(mask, image.shape[:2])
