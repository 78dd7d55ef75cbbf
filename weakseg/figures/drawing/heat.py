"""Activation maps as heat, beside and over their image."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from weakseg.figures.drawing.pictures import mix


def draw_heat(image: np.ndarray, map: np.ndarray) -> np.ndarray:
    """Color a map (h, w) in [0, 1] at the size of image (H, W, 3): (H, W, 3) uint8, dark blue 0, dark red 1.

    The map may have any size (resized bilinearly); values outside [0, 1] are clipped, NaN is drawn as 0.
    """
    height, width = image.shape[:2]
    values = np.nan_to_num(np.asarray(map, dtype=np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    resized = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
    levels = np.rint(255 * np.clip(resized, 0, 1)).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def blend(image: np.ndarray, map: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lay the heat of a map (h, w) in [0, 1] over image (H, W, 3) uint8: (H, W, 3) uint8."""
    return mix(image, draw_heat(image, map), opacity)
