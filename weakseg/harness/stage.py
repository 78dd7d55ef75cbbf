"""The harness every stage runs in: flags from `main`, strict params, seeds, figures, one-line errors."""

from __future__ import annotations

import argparse
import atexit
import ctypes
import gc
import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from weakseg.errors import UserError
from weakseg.harness import (
    checked_params,
    command,
    device,
    digests,
    files,
    launch,
    locks,
    params,
    processes,
    resume,
)  # fmt: skip
from weakseg.harness.params import NetworkParams, StageParams

Main = Callable[..., Any]
RUNNING = Path(".cache/running")  # locks of the commands at work in this folder, wherever what they keep lies
DIGITS = 4  # of a metric; tables and curves keep all
GIBIBYTE = 1 << 30
SPINS = "10000"  # turns of a waiting thread; GNU's default is thirty times as many
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Outcome:
    """What a stage has to say besides its artifacts.

    metrics: the few fractions that two experiments are compared by; scores: everything else, by name; curves: rows of
    a plot.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    curves: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """That several processes can do a stage's work together.

    outs: the flags of what it writes, which the first process alone does. devices: whether it computes on devices; if
    not, it uses all of a machine's processors by itself, and is shared between machines alone.
    """

    outs: Sequence[str]
    devices: bool = True


def flags(main: Main) -> dict[str, type]:
    """Name and type (Path or str) of every flag: the keyword-only arguments of `main`."""
    hints = typing.get_type_hints(main)
    arguments = inspect.signature(main).parameters.values()
    return {item.name: hints[item.name] for item in arguments if item.kind is inspect.Parameter.KEYWORD_ONLY}


def params_model(main: Main) -> type[StageParams]:
    """The Params of a stage, from the signature of its `main`."""
    return typing.get_type_hints(main)["params"]


def all_params(package: ModuleType) -> dict[str, type[StageParams]]:
    """The Params of every stage of a package, by the stage's name."""
    folders = [Path(folder) for folder in package.__path__]
    stems = sorted(path.stem for folder in folders for path in folder.glob("*.py") if path.stem != "__init__")
    modules = {stem: importlib.import_module(f"{package.__name__}.{stem}") for stem in stems}
    return {stem: params_model(module.main) for stem, module in modules.items()}


def parser(main: Main, name: str, doc: str | None) -> argparse.ArgumentParser:
    """Command line of a stage."""
    result = argparse.ArgumentParser(
        f"python -m stages.{name}", description=doc, formatter_class=argparse.RawTextHelpFormatter
    )
    if issubclass(params_model(main), NetworkParams):
        result.add_argument("--network", required=True, metavar="NAME", help="an entry of networks in params.yaml")
    for flag, kind in flags(main).items():
        result.add_argument(
            f"--{flag.replace('_', '-')}", type=kind, required=True, metavar="PATH" if kind is Path else "NAME"
        )
    result.add_argument("--metrics", type=Path, metavar="PATH", help="JSON file for the few figures to compare by")
    result.add_argument("--scores", type=Path, metavar="PATH", help="CSV file for all other figures: name, value")
    result.add_argument("--curves", type=Path, metavar="PATH", help="CSV file for the curves")
    result.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH", help="default: params.yaml")
    return result


def keep_freed_memory() -> None:
    """Let glibc keep freed tensors for the next operation instead of giving their pages back to the kernel.

    A training step on a CPU spends up to a third of its time on page faults otherwise; the bytes are the same.
    Elsewhere than on Linux with glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, GIBIBYTE)
        mallopt(M_TRIM_THRESHOLD, 2 * GIBIBYTE - 1)


def spin_briefly() -> None:
    """Let OpenMP's threads sleep when they have waited for each other for a while; call it before torch is loaded.

    Threads that spin take the core from the very thread they wait for wherever cores are shared; those that never spin
    are slow to wake. A training on two cores: spinning 21 s alone and 136 s beside other work, never 30 and 61, briefly
    21 and 73. The bytes are the same. GNU's OpenMP alone looks at it; what the user says goes first.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def write_outcome(outcome: Outcome, arguments: argparse.Namespace) -> None:
    """Write what the flags ask for."""
    if arguments.metrics is not None:
        files.save_json(arguments.metrics, {key: round(value, DIGITS) for key, value in outcome.metrics.items()})
    if arguments.scores is not None:
        rows = [{"name": key, "value": value} for key, value in outcome.scores.items()]
        files.save_csv(arguments.scores, rows, columns=["name", "value"])
    if arguments.curves is not None:
        files.save_csv(arguments.curves, outcome.curves)


def execute(main: Main, arguments: argparse.Namespace, name: str, torch: bool, shared: Shared | None = None) -> None:
    """Load params, seed, run `main`, write its outcome; with other processes where the environment says so."""
    loaded = checked_params.load(params_model(main), name, arguments.params, getattr(arguments, "network", None))
    with ExitStack() as held:
        if shared is not None:
            launch.begin(shared.devices)
            arguments = held.enter_context(own_outputs(arguments, name, shared.outs))
        device.seed_everything(params.read(arguments.params).get("seed", 0), torch)
        outcome = main(loaded, **{flag: getattr(arguments, flag) for flag in flags(main)})
        write_outcome(outcome or Outcome(), arguments)


@contextmanager
def own_outputs(arguments: argparse.Namespace, name: str, outs: Sequence[str]) -> Iterator[argparse.Namespace]:
    """The arguments; but for the first process with outputs that nobody sees, in a folder that goes.

    UserError where the processes were given other parameters or flags.
    """
    processes.agree("parameters", [params.read(arguments.params), repr(vars(arguments))])
    if processes.is_first():
        yield arguments
        return
    with resume.scratch(f"{name}.{getattr(arguments, 'network', '')}") as folder:
        moved = {out: folder / out / getattr(arguments, out).name for out in outs}
        yield argparse.Namespace(**vars(arguments) | moved | dict.fromkeys(("metrics", "scores", "curves")))


def leave() -> None:
    """End the process after its exit handlers, but without taking torch and timm down piece by piece.

    That takes over a second a stage; multiprocessing ends its children in the same way.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """UserError where the same command is at work in the same folder: both would write the same files."""
    told = digests.of_parts(*(part.encode(errors="surrogateescape") for part in sys.argv)).hex()
    lock = RUNNING / f"{name}.{told}"
    with locks.attempt(lock) as free:
        if not free:
            raise UserError(f"process {locks.owner(lock)} runs the same command in this folder: wait until it is done")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def run(main: Main, *, torch: bool = True, shared: Shared | None = None) -> None:
    """Entry point of a stage file; a UserError becomes one line on stderr and exit code 1.

    `torch` says whether the stage computes with it, so that it is seeded; `shared`, how several processes can do its
    work together. What is imported by now is kept out of the garbage collector's rounds.
    """
    gc.freeze()
    keep_freed_memory()
    spin_briefly()
    module = sys.modules[main.__module__]
    name = Path(str(module.__file__)).stem
    arguments = parser(main, name, module.__doc__).parse_args()

    def work() -> None:
        if shared is not None:
            launch.hand_over()
        spare = launch.is_spare()
        if spare and shared is None:
            return
        with ExitStack() as held:
            if not spare:
                held.enter_context(alone(name))
            with suppress(processes.Finished):
                execute(main, arguments, name, torch, shared)
        launch.end()

    if code := command.attempt(name, work):
        sys.exit(code)
    leave()
