"""Which network a checkpoint is: its keys and shapes against those of every variant there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import torch
from torch import nn

from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.loading import checkpoints
from weakseg.networks.loading.checkpoints import State

OURS_HEAD = ("head.linear.",)


class Candidate(NamedTuple):
    """A network a state was held against, and what differs; `classes` is the length of the state's head."""

    backbone: str
    variant: str
    missing: list[str]
    unexpected: list[str]
    other_shape: list[str]
    classes: int | None
    merged: bool

    @property
    def wrong(self) -> int:
        """Number of keys that differ."""
        return len(self.missing) + len(self.unexpected) + len(self.other_shape)


def skeleton(module: ModuleType, variant: str) -> tuple[nn.Module, tuple[str, ...]]:
    """A variant without memory, its keys named as in the files it loads, and the prefixes of its head's keys."""
    from weakseg.networks.loading import from_timm

    options = getattr(module, "VARIANTS", {}).get(variant, {"name": variant})
    with torch.device("meta"):
        if "name" not in options:
            return module.build(variant, 1, "random"), OURS_HEAD
        network = from_timm.skeleton(classes=1, **options)
        return network, from_timm.head_keys(network)


def compare(backbone: str, variant: str, state: State) -> Candidate:
    """Hold the state against one variant of one backbone; classes do not count as a difference."""
    module = choices.load("backbones", backbone)
    network, head = skeleton(module, variant)
    state = module.convert(state) if hasattr(module, "convert") else state
    checkpoints.adopt(network, state)
    classes = next((len(value) for key, value in state.items() if key.startswith(head) and value.ndim == 2), None)
    merged = any(key.endswith("lkb_reparam.weight") for key in state)
    return Candidate(backbone, variant, *checkpoints.differences(network, state, head), classes, merged)


def templates(state: State | dict[str, object]) -> set[str]:
    """The kinds of keys: all numbers replaced, so that depth does not count."""
    return {re.sub(r"\d+", "#", key) for key in state}


def resemblance(backbone: str, state: State) -> float:
    """Jaccard index of the kinds of keys of the state and of the backbone's first variant."""
    module = choices.load("backbones", backbone)
    network, _ = skeleton(module, next(iter(module.VARIANTS)))
    state = module.convert(state) if hasattr(module, "convert") else state
    checkpoints.adopt(network, state)
    ours, theirs = templates(network.state_dict()), templates(state)
    return len(ours & theirs) / len(ours | theirs)


def relatives(candidate: Candidate) -> Iterator[tuple[str, str]]:
    """timm's other networks in the source file of a candidate's."""
    import timm

    options = choices.load("backbones", candidate.backbone).VARIANTS[candidate.variant]
    if timm.is_model(options.get("name", "")):
        for name in timm.list_models(module=timm.model_entrypoint(options["name"]).__module__.rsplit(".", 1)[-1]):
            yield "timm", name


def identify(state: State) -> list[Candidate]:
    """The networks with the fewest differing keys: one or, where keys cannot tell (strides, padding), several.

    UserError: even the best shares less than half of its keys with the state.
    """
    backbones = [name for name in choices.names("backbones") if hasattr(choices.load("backbones", name), "VARIANTS")]
    likeness = {backbone: resemblance(backbone, state) for backbone in backbones}
    nearest = max(backbones, key=likeness.__getitem__)
    found = [compare(nearest, variant, state) for variant in choices.load("backbones", nearest).VARIANTS]
    best = min(found, key=lambda candidate: candidate.wrong)
    if best.wrong and likeness[nearest] > 0.5:
        found += [compare(backbone, variant, state) for backbone, variant in relatives(best)]
        best = min(found, key=lambda candidate: candidate.wrong)
    if best.wrong > len(state) / 2:
        raise UserError(
            f"no known network has these {len(state)} keys (closest: {best.backbone} {best.variant}, {best.wrong} keys"
            " differ): name a network of timm to hold the file against with --network"
        )
    return [candidate for candidate in found if candidate.wrong == best.wrong]
