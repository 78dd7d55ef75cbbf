"""Which network a checkpoint is: its keys and shapes against those of every variant there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import find_variant
from weakseg.networks.loading import checkpoints, from_timm
from weakseg.networks.loading.checkpoints import State

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

OURS_HEAD = ("head.linear.",)
ALIKE = 0.5  # likeness above which a backbone's relatives in timm are tried too


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


def build_skeleton(module: ModuleType, variant: str) -> tuple[nn.Module, tuple[str, ...]]:
    """A variant without memory, its keys named as in the files it loads, and the prefixes of its head's keys."""
    with torch.device("meta"):
        if not is_of_timm(module):
            return module.build(variant, 1, "random"), OURS_HEAD
        network = from_timm.create_skeleton(find_known(module, variant), 1)
        return network, from_timm.find_head_keys(network)


def is_of_timm(module: ModuleType) -> bool:
    """Whether a backbone's variants are networks of timm."""
    return all(isinstance(known, from_timm.Variant) for known in getattr(module, "VARIANTS", {}).values())


def find_known(module: ModuleType, variant: str) -> from_timm.Variant:
    """A variant of a backbone of timm's; UserError: no such variant."""
    if not hasattr(module, "VARIANTS"):
        return from_timm.Variant(variant)
    return find_variant(module.VARIANTS, variant, module.__name__.rpartition(".")[2])


def build_saved(module: ModuleType, variant: str, classes: int) -> tuple[nn.Module, tuple[str, ...]]:
    """A variant as a `Classifier`, its keys named as in the files this project saves, and those of its head."""
    with torch.device("cpu" if is_of_timm(module) else "meta"):  # a split of timm's is proved on numbers
        network = module.build(variant, classes, "random")
    return network, from_timm.find_class_keys(network)


def count_classes(state: State, head: tuple[str, ...]) -> int | None:
    """Length of a state's head: of its first weight matrix or 1x1 convolution; None without one."""
    return next((len(value) for key, value in state.items() if key.startswith(head) and value.ndim in (2, 4)), None)


def read_published(backbone: str, variant: str) -> PretrainedCfg | None:
    """What timm says of a variant's published weights; None for a variant of a family of ours, which timm lacks."""
    known = getattr(choices.load("backbones", backbone), "VARIANTS", {}).get(variant, variant)
    name = known.name if isinstance(known, from_timm.Variant) else known
    if not isinstance(name, str):
        return None
    import timm

    return timm.get_pretrained_cfg(name) if timm.is_model(name) else None


def compare(backbone: str, variant: str, state: State) -> Candidate:
    """Hold the state against one variant of one backbone; classes do not count as a difference."""
    module = choices.load("backbones", backbone)
    state = module.convert(state) if hasattr(module, "convert") else state
    if any(key.startswith(checkpoints.SAVED_HEADS) for key in state):
        network, head = build_saved(module, variant, count_classes(state, OURS_HEAD) or 1)
    else:
        network, head = build_skeleton(module, variant)
    checkpoints.adopt(network, state)
    classes = count_classes(state, head)
    merged = any(key.endswith("lkb_reparam.weight") for key in state)
    return Candidate(backbone, variant, *checkpoints.find_differences(network, state, head), classes, merged)


def find_templates(state: State | dict[str, object]) -> set[str]:
    """The kinds of keys: all numbers replaced, so that depth does not count."""
    return {re.sub(r"\d+", "#", key) for key in state}


def measure_likeness(backbone: str, state: State) -> float:
    """Jaccard index of the kinds of keys of the state and of the backbone's first variant."""
    module = choices.load("backbones", backbone)
    network, _ = build_skeleton(module, next(iter(module.VARIANTS)))
    state = module.convert(state) if hasattr(module, "convert") else state
    checkpoints.adopt(network, state)
    ours, theirs = find_templates(network.state_dict()), find_templates(state)
    return len(ours & theirs) / len(ours | theirs)


def list_relatives(candidate: Candidate) -> Iterator[tuple[str, str]]:
    """timm's other networks in the source file of a candidate's."""
    import timm

    name = getattr(choices.load("backbones", candidate.backbone).VARIANTS[candidate.variant], "name", "")
    if timm.is_model(name):
        family = timm.model_entrypoint(name).__module__.rsplit(".", 1)[-1]
        for relative in timm.list_models(module=family):
            yield "timm", relative


def identify(state: State) -> list[Candidate]:
    """The networks with the fewest differing keys: one or, where keys cannot tell (strides, padding), several.

    UserError: even the best shares less than half of its keys with the state.
    """
    backbones = [name for name in choices.names("backbones") if hasattr(choices.load("backbones", name), "VARIANTS")]
    likeness = {backbone: measure_likeness(backbone, state) for backbone in backbones}
    nearest = max(backbones, key=likeness.__getitem__)
    candidates = [compare(nearest, variant, state) for variant in choices.load("backbones", nearest).VARIANTS]
    best = min(candidates, key=lambda candidate: candidate.wrong)
    if best.wrong and likeness[nearest] > ALIKE:
        candidates += [compare(backbone, variant, state) for backbone, variant in list_relatives(best)]
        best = min(candidates, key=lambda candidate: candidate.wrong)
    if best.wrong > len(state) / 2:
        raise UserError(
            f"no known network has these {len(state)} keys (closest: {best.backbone} {best.variant}, {best.wrong} keys"
            " differ): name a network of timm to hold the file against with --network"
        )
    return [candidate for candidate in candidates if candidate.wrong == best.wrong]
