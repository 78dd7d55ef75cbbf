"""How weights are stepped: an optimizer and a learning-rate schedule by name."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "onecycle", "plateau", "poly"]


class Optimization(BaseModel, frozen=True):
    """What `training/optimization.py` builds an optimizer and a schedule from."""

    optimizer: OptimizerName
    schedule: ScheduleName
    warmup: float  # share of the steps
    weight_decay: float
