"""The numbers of the evaluation of boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

HALF = 0.5  # the overlap that everyone publishes
Convention = Literal["exact", "reference"]


class BoxRecipe(BaseModel):
    """How boxes are found in maps and compared with true ones."""

    model_config = ConfigDict(frozen=True)

    source: Literal["cams", "distilled"]  # whose maps; distilled ones are logits
    convention: Convention  # of boxes: the published evaluator's, or half-open without rounding
    grid_size: int = Field(gt=0)  # pixels, side of the evaluation grid
    step: float = Field(gt=0, lt=1)  # of the thresholds between 0 and 1
    ious: list[Annotated[float, Field(gt=0, le=1)]]  # overlaps that count as a hit
    tails: float  # quantile a map of source cams is clipped at, on both ends, before its own Otsu threshold

    @field_validator("ious")
    @classmethod
    def check_half(cls, ious: list[float]) -> list[float]:
        """The scores that everyone publishes need this overlap."""
        if HALF not in ious:
            raise ValueError(f"{HALF} must be among the overlaps")
        return ious


def check_source(recipe: Mapping[str, Any], rules: str, networks: Iterable[str], mask_network: str) -> list[str]:
    """Problems of distilled maps: only one network has them, and one rule for all classes must have made them.

    recipe: the section evaluate_boxes; rules: of distill_cams. A rule for each class gives a test image the map of its
    predicted class alone, and GT-known scores are of its label's.
    """
    if recipe["source"] != "distilled":
        return []
    problems = []
    if set(networks) != {mask_network}:
        problems.append(
            f"evaluate_boxes.source distilled needs {mask_network}, the mask_network, to be the only network"
        )
    if rules != "foreground":
        problems.append(f"evaluate_boxes.source distilled needs distill_cams.rules foreground, not {rules}")
    return problems
