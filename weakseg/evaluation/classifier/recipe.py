"""The numbers of a faithfulness test."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FaithfulnessRecipe(BaseModel):
    """How pixels are hidden and shown."""

    model_config = ConfigDict(frozen=True)

    seed: int  # of ROAD's noise
    batch_size: int  # images a forward pass
    steps: int  # parts of the insertion and deletion curves
    blur: float  # pixels, sigma of the blurred image that insertion starts from
    fractions: list[float]  # shares of pixels that ROAD removes, in (0, 1)
