"""`weakseg inspect FILE`: which network a weight file is, what it misses and what it has too many."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser(
        "inspect", help="which network a weight file is, what it misses and what it has too many"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="safetensors, or a torch file of tensors only")
    parser.add_argument("--network", help="hold it against this network of timm, instead of finding out")


def run(args: argparse.Namespace) -> None:
    """Print the findings. UserError: unreadable or hostile file, no known network."""
    from weakseg.networks.loading import checkpoints
    from weakseg.networks.weight_files import file_classes, identify

    state = checkpoints.read(args.file)
    parameters = sum(value.numel() for value in state.values() if value.is_floating_point())
    zeros = sum(value.numel() - int(value.count_nonzero()) for value in state.values() if value.is_floating_point())
    print(f"{args.file}: {len(state)} tensors, {parameters:,} values, {zeros / max(parameters, 1):.1%} of them zero")
    header = checkpoints.read_header(args.file)
    facts = {name: value for name, value in header.items() if name != "classes"}
    if facts:
        print("saved by weakseg: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    names = file_classes.find(args.file)
    print(f"classes: {', '.join(names) if names else 'not named'}")
    if checkpoints.is_classifier(args.file):
        found = [identify.compare(header["backbone"], header["variant"], state)]
    else:
        found = [identify.compare("timm", args.network, state)] if args.network else identify.identify(state)
    for line in report(found):
        print(line)


def report(found: list[Any]) -> list[str]:
    """Lines on the best candidate, and the names of those that keys cannot tell from it."""
    from weakseg.networks.loading.checkpoints import list_keys

    best = found[0]
    classes = f"{best.classes} classes" if best.classes else "no head"
    lines = [f"network: {best.backbone} {best.variant}{' (merged)' if best.merged else ''}, {classes}"]
    if len(found) > 1:
        names = ", ".join(f"{candidate.backbone} {candidate.variant}" for candidate in found[1:])
        lines.append(f"same keys and shapes: {names}")
    lines += [f"missing: {list_keys(best.missing)}", f"unexpected: {list_keys(best.unexpected)}"]
    return [*lines, f"other shapes: {list_keys(best.other_shape)}"]
