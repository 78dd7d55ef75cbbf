"""What masks are made from, image by image."""

from __future__ import annotations

from dataclasses import dataclass

from weakseg.artifacts.activations import Cams
from weakseg.artifacts.formats.zips import Images, Segments


@dataclass(frozen=True)
class Sources:
    """Images, their superpixels and their activation maps, under the same ids."""

    images: Images
    segments: Segments
    cams: Cams
