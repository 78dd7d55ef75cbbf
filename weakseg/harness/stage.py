"""The harness every stage runs in: flags from `main`, strict params, seeds, metrics, one-line errors."""

from __future__ import annotations

import argparse
import gc
import inspect
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weakseg.errors import UserError
from weakseg.harness import files
from weakseg.harness import params as parameters

Main = Callable[..., Any]


def flags(main: Main) -> dict[str, type]:
    """Name and type (Path or str) of every flag: the keyword-only arguments of `main`."""
    hints = typing.get_type_hints(main)
    arguments = inspect.signature(main).parameters.values()
    return {item.name: hints[item.name] for item in arguments if item.kind is inspect.Parameter.KEYWORD_ONLY}


def parser(main: Main, name: str, doc: str | None) -> argparse.ArgumentParser:
    """Command line of a stage."""
    result = argparse.ArgumentParser(
        f"python -m stages.{name}", description=doc, formatter_class=argparse.RawTextHelpFormatter
    )
    for flag, kind in flags(main).items():
        result.add_argument(
            f"--{flag.replace('_', '-')}", type=kind, required=True, metavar="PATH" if kind is Path else "NAME"
        )
    result.add_argument("--metrics", type=Path, metavar="PATH", help="JSON file for the metrics")
    result.add_argument("--curves", type=Path, metavar="PATH", help="CSV file for the curves")
    result.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH", help="default: params.yaml")
    return result


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and, where a stage has imported it, torch with deterministic kernels."""
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False


def execute(main: Main, arguments: argparse.Namespace, name: str) -> None:
    """Load params, run `main`, write metrics and curves."""
    model = typing.get_type_hints(main)["params"]
    params = parameters.load(model, name, arguments.params)
    seed_everything(parameters.read(arguments.params).get("seed", 0))
    outcome = main(params, **{flag: getattr(arguments, flag) for flag in flags(main)})
    metrics, curves = outcome if isinstance(outcome, tuple) else (outcome, None)
    if arguments.metrics is not None:
        files.save_json(arguments.metrics, metrics or {})
    if arguments.curves is not None:
        files.save_csv(arguments.curves, curves or [])


def run(main: Main) -> None:
    """Entry point of a stage file; a UserError becomes one line on stderr and exit code 1.

    What is imported by now is kept out of the garbage collector's rounds, and a stage that has written everything
    leaves at once: taking torch and timm down piece by piece costs over a second a stage.
    """
    gc.freeze()
    module = sys.modules[main.__module__]
    name = Path(str(module.__file__)).stem
    arguments = parser(main, name, module.__doc__).parse_args()
    try:
        execute(main, arguments, name)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
