"""The numbers of the two measures of a receptive field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ErfRecipe(BaseModel):
    """Sizes and numbers of images of the two measures."""

    model_config = ConfigDict(frozen=True)

    central_size: int  # pixels, images are warped to a square; any size
    central_images: int = Field(gt=0)  # images the central unit's field is averaged over
    saliency_size: int  # pixels
    saliency_images: int = Field(gt=0)
    saliency_share: float = Field(gt=0, lt=1)  # of the gradient's sum
    batch_size: int
