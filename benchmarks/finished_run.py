"""A finished run of the pipeline that a benchmark goes on from, and the command line that names it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from weakseg.artifacts.formats.labels import load_labels
from weakseg.artifacts.formats.masks import Masks
from weakseg.artifacts.truth import TrueMasks
from weakseg.harness import checked_params, stage

Command = Callable[[argparse.Namespace], None]


@dataclass(frozen=True)
class FinishedRun:
    """Its folder, its parameters, and which of its networks is looked at."""

    root: Path
    parameters: Path
    network: str

    def params(self, module: Any, parameters: Path | None = None) -> Any:
        """The Params of a stage, of the run or of another file."""
        name = module.__name__.rpartition(".")[2]
        return checked_params.load(stage.params_model(module.main), name, parameters or self.parameters, self.network)

    @property
    def classifier(self) -> Path:
        """The classifier."""
        return self.root / f"models/classifier/{self.network}.safetensors"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All labels."""
        return load_labels(self.root / "data/labels.csv")

    @cached_property
    def truth(self) -> TrueMasks:
        """The true masks."""
        return TrueMasks(Masks(self.root / "data/truth/masks"), self.frame)

    def split(self, split: str) -> list[str]:
        """Ids of a split."""
        return list(self.frame.index[self.frame["split"] == split])

    def masked(self, split: str) -> list[str]:
        """Those that have a true mask."""
        return [name for name in self.split(split) if name in self.truth.masks]


def add_measure(commands: Any, function: Command) -> argparse.ArgumentParser:
    """`measure`, which adds to a table what it lacks."""
    parser = commands.add_parser("measure")
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--network", default="mobilenet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.set_defaults(function=function)
    return parser


def add_show(commands: Any, name: str, function: Command) -> argparse.ArgumentParser:
    """A command that looks at a table."""
    parser = commands.add_parser(name)
    parser.add_argument("--table", type=Path, required=True)
    parser.set_defaults(function=function)
    return parser
