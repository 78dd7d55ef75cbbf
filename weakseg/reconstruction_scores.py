"""How close reconstructed images are: L1, PSNR and SSIM, each a mean over images.

SSIM: Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image Quality Assessment", 2004, doi 10.1109/TIP.2003.819861.
Differs from the paper: a uniform 7x7 window, scikit-image's default.
"""

from __future__ import annotations

import numpy as np
from skimage.metrics import structural_similarity

SPAN = 2.0  # images lie in [-1, 1]
CEILING = 100.0  # dB, PSNR of an exact copy


def scores(images: np.ndarray, truths: np.ndarray) -> list[dict[str, float]]:
    """l1, psnr (dB) and ssim of each of images (B,H,W,3) against truths, both in [-1, 1], H and W at least 7.

    PSNR = 10 log10(2^2 / mean squared error), at most 100 dB.
    """
    rows = []
    for image, truth in zip(images, truths, strict=True):
        error = float(np.mean((image - truth) ** 2))
        psnr = min(CEILING, 10 * np.log10(SPAN**2 / error)) if error else CEILING
        ssim = structural_similarity(image, truth, channel_axis=-1, data_range=SPAN)
        rows.append({"l1": float(np.abs(image - truth).mean()), "psnr": float(psnr), "ssim": float(ssim)})
    return rows
