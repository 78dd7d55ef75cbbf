"""Train and measure every network of the study: a table with one row a network.

One process a worker runs all stages of one network, so that torch is imported twice and not four hundred times. A
finished network is a file under .cache, named by its parameters and the code: a killed run goes on with the next one,
and a further seed or kernel costs its own networks alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.kernels.plan import Network, Plan, compose, list_networks, load
from weakseg.harness import command, files, params, resume, workers
from weakseg.harness.progress import track

QUIET = {"WEAKSEG_WORKERS": "0", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}  # the pool is the only parallel thing


def home() -> Path:
    """Where finished networks lie."""
    return resume.root() / "studies" / "kernels"


@dataclass(frozen=True)
class Work:
    """What a worker needs to know besides its network; `whole` is the params.yaml at the top."""

    whole: Mapping[str, Any]
    plan: Plan
    data: Mapping[str, Path]

    def result(self, network: Network) -> Path:
        """Where the row of a network lies once it is measured."""
        composed = [compose(self.whole, self.plan, network, kind) for kind in self.plan.maps]
        return home() / f"{network.name}.{resume.key([self.plan.mapped_images, composed], [])}.json"


@contextmanager
def cache_in(folder: str) -> Iterator[None]:
    """Let stages keep what they would resume from in a folder that goes: a row is the unit that is resumed here."""
    before = os.environ.get("WEAKSEG_CACHE")
    os.environ["WEAKSEG_CACHE"] = str(Path(folder) / "cache")
    try:
        yield
    finally:
        os.environ.pop("WEAKSEG_CACHE")
        os.environ |= {"WEAKSEG_CACHE": before} if before is not None else {}


def measure_one(work: Work, network: Network, out: Path) -> None:
    """Measure one network, leave its row behind and nothing else."""
    import torch

    from studies.kernels import network as networks
    from weakseg.harness.stage import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home(), prefix=f".{network.name}.") as folder, cache_in(folder):
        row = networks.measure(work.whole, work.plan, network, work.data, Path(folder))
    files.save_bytes(out, json.dumps(row).encode())


def draw(whole: Mapping[str, Any], plan: Plan) -> Work:
    """The images of all networks, drawn where a run before this one has not done so."""
    from studies.kernels import network as networks

    first = compose(whole, plan, list_networks(plan)[0], next(iter(plan.maps)))
    folder = home() / f"data.{resume.key([plan.mapped_images, first], [])}"
    if not folder.exists():
        home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home(), prefix=".data.") as staged:
            networks.draw(whole, plan, Path(staged) / "whole")
            files.replace_folder(Path(staged) / "whole", folder)
    return Work(whole, plan, networks.locate(folder))


def measure_all(work: Work, rows: Mapping[Network, Path], jobs: int) -> None:
    """Measure the networks that have no row yet, `jobs` at a time."""
    missing = [(network, out) for network, out in rows.items() if not out.exists()]
    if jobs == 1:
        for network, out in track(missing, "networks"):
            measure_one(work, network, out)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(measure_one, work, network, out) for network, out in missing]
        try:
            for done in track(as_completed(waiting), "networks", len(waiting)):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run(whole: Mapping[str, Any], plan: Plan, out: Path, only: list[str]) -> None:
    """Measure and write the table, networks in the order of the plan; `only` some of them, by name, for a first look.

    As many processes as WEAKSEG_WORKERS or the machine's cores; the stages within them have one thread each.
    """
    jobs = max(1, workers.count())
    os.environ |= QUIET
    work = draw(whole, plan)
    rows = {network: work.result(network) for network in list_networks(plan) if not only or network.name in only}
    measure_all(work, rows, jobs)
    files.save_csv(out, [files.load_json(path) for path in rows.values()])


def main(arguments: list[str] | None = None) -> int:
    """`python -m studies.kernels.measure`, from the root; a UserError becomes one line and exit code 1."""
    parser = argparse.ArgumentParser("python -m studies.kernels.measure", description=__doc__)
    parser.add_argument("--params", type=Path, required=True, metavar="FILE", help="the numbers that the plan changes")
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    parser.add_argument("--only", nargs="*", default=[], metavar="NETWORK", help="such as k13_cross_seed0")
    parsed = parser.parse_args(arguments)
    return command.attempt(
        "studies.kernels", lambda: run(params.read(parsed.params), load(parsed.plan), parsed.out, parsed.only)
    )


if __name__ == "__main__":
    sys.exit(main())
