"""The numbers of a run over activation maps, each declared once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from weakseg.harness.device import Precision

Fusion = Literal["mean", "max"]
Rule = Literal["top1", "topk", "above"]


class Recipe(BaseModel):
    """Where maps are computed, what is averaged, and which classes an image without label has.

    Scores, norm and features are means over `scales` and mirror images.
    """

    model_config = ConfigDict(frozen=True)

    levels: list[int]  # 0 is the last level, -n is n blocks before it; several are fused
    norm_level: int  # of the class-agnostic feature norm
    feature_level: int  # of the stored features
    fusion: Fusion  # of several levels, each map first divided by its largest absolute value
    image_size: int  # pixels, images are warped to a square
    batch_size: int  # images
    scales: list[float]  # of image_size; the first decides the grid and the prediction
    mirror: bool  # average over the mirror image too
    relu: bool  # negative scores count as zero in each scale and mirror image
    affinity_steps: int = Field(ge=0)  # of a random walk on a transformer's attention; 0: none
    affinity_levels: list[int] = Field(min_length=1)  # whose blocks' attention is averaged
    affinity_power: float = Field(gt=0)  # of the affinities; higher keeps closer to the likest cells
    predicted: Rule  # classes of an image without label
    predicted_count: int  # classes, for topk
    predicted_score: float  # probability in [0, 1], for above
    feature_channels: int  # principal axes stored of the feature level; as many as it has: stored as they are
    projection_images: int  # training images the axes are fitted on
    precision: Precision
