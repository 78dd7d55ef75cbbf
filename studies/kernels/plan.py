"""What the study compares: its numbers, its networks, and the params.yaml that each of its runs reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field.compare import Measure
from weakseg.harness import checked_params, params

BACKBONE = "anykernel"
LEAST = 5  # networks
Shape = Literal["square", "cross"]


class Plan(BaseModel):
    """The numbers of studies/kernels/params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernels: list[int]  # cells, odd
    shapes: list[Shape]
    seeds: list[int]  # of weights, order of images and random cells
    mapped_images: int = Field(gt=0)  # training images that maps are computed of, and the distilled ones are learned on
    measures: list[Measure] = Field(min_length=1)  # of the field; the first is the figure's
    resamples: int = Field(gt=0)  # of the bootstrap and of the permutation test
    changes: dict[str, Any]  # over params.yaml, for all networks
    maps: dict[str, dict[str, Any]]  # over those, for the maps that boxes are found in


@dataclass(frozen=True)
class Network:
    """One network of the study."""

    kernel: int
    shape: Shape
    seed: int

    @property
    def variant(self) -> str:
        """Its variant of the backbone, and its entry of `networks`."""
        return f"k{self.kernel}" if self.shape == "square" else f"k{self.kernel}_cross"

    @property
    def name(self) -> str:
        """Its own name in the study."""
        return f"{self.variant}_seed{self.seed}"


def load(path: Path) -> Plan:
    """Read the plan. UserError: unknown, missing or mistyped numbers, or fewer than five networks."""
    try:
        plan = Plan.model_validate(params.read(path))
    except ValidationError as error:
        raise UserError(f"{path}: {'; '.join(checked_params.phrases(error, ''))}") from None
    count = len(list_networks(plan))
    if count < LEAST:
        raise UserError(f"{path}: {count} networks cannot be compared: give kernels, shapes and seeds for {LEAST}")
    return plan


def list_networks(plan: Plan) -> list[Network]:
    """Every kernel and shape once, then again with the next seed."""
    return [Network(*one) for one in _product(plan)]


def _product(plan: Plan) -> Iterator[tuple[int, Shape, int]]:
    for seed in dict.fromkeys(plan.seeds):
        for kernel in dict.fromkeys(plan.kernels):
            for shape in dict.fromkeys(plan.shapes):
                yield kernel, shape, seed


def lay_over(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `whole` with changed values, mappings merged key by key."""
    merged = dict(whole)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = lay_over(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return merged


def compose(whole: Mapping[str, Any], plan: Plan, network: Network, kind: str) -> dict[str, Any]:
    """The params.yaml of one network and one of `maps`; `whole` is the one at the top."""
    entry: dict[str, Any] = {"backbone": BACKBONE, "variant": network.variant, "weights": "random"}
    entry |= {part: {} for part in params.PARTS}
    name = network.variant
    own = {"seed": network.seed, "mask_network": name, "features_from": name, "networks": {name: entry}}
    return lay_over(lay_over(dict(whole) | own, plan.changes), plan.maps[kind])


def dump(composed: Mapping[str, Any]) -> bytes:
    """A composed params.yaml as a file's bytes."""
    return yaml.safe_dump(dict(composed), sort_keys=False).encode()
