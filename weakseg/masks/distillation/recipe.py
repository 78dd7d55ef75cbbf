"""The numbers of a distillation, each declared once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from weakseg.harness.device import Precision

Seeds = Literal["product", "cam", "norm", "norm_squared"]


class Reading(BaseModel):
    """How images are read into feature grids."""

    model_config = ConfigDict(frozen=True)

    levels: list[int] = Field(min_length=1)  # 0 is the last, -n is n blocks before it; several: the best is chosen
    image_size: int  # pixels, images are warped to a square
    batch_size: int  # images
    precision: Precision


class Schedule(BaseModel):
    """How each round is fitted, and when the rounds end."""

    model_config = ConfigDict(frozen=True)

    rounds: int = Field(ge=1)  # plain rounds at most
    covariance_ridge: float  # added to the covariance of standardized features
    tails: float  # quantile at which scores are clipped before Otsu's threshold
    band: float  # standard deviations; cells this near the threshold are left out of the next round
    least_change: float  # settled when 1 - IoU with the round before is smaller
    least_foreground: float  # share of cells under which the rounds have diverged
    most_foreground: float  # share of cells above which the rounds have diverged
    refined_rounds: int  # rounds after the plain ones that are fitted on refined masks; 0: none
    hold: bool  # keep the share of foreground that the plain rounds ended with


class Recipe(Reading, Schedule):
    """All numbers of a distillation."""

    rules: Literal["foreground", "classes"]  # one rule for all classes, or one a class
    first_labels: Seeds  # what they are made from
    first_band: float  # cells this near Otsu's threshold of their min-max map are left out at first
    cells: int  # random cells an image
    most_cells: int  # over all images; bounds the memory
    refine_images: int  # training images refined in each of the refined rounds
