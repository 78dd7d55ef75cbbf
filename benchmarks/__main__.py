"""Run the benchmarks one after the other and write what they say into benchmarks/RESULTS.md.

python -m benchmarks                            all of them, about half an hour on two idle cores (make bench)
python -m benchmarks frozen engines             some of them; the sections of the others stay as they are

Each is a module that can be run alone, with arguments of its own. Times are CPU seconds where contenders run in one
process, so that other work on the machine disturbs them little; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from weakseg.harness import digests

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "grad-cam", "torchcam", "onnxruntime")
ARCHIVES = (
    "--cams data/distilled/mobilenet --images data/images --superpixels data/superpixels"
    " --masks data/truth/masks --labels data/labels.csv"
)
# Name of the section, and what is run: its module, and arguments that keep it short.
RUNS = {
    "frozen": "frozen --images 64 --rounds 3",
    "engines": "engines",
    "from-disk": "from_disk",
    "training": "training",
    "superpixels": "superpixels",
    "evaluation": "evaluation",
    "cams": "cams speed --batch 4 --rounds 3 --cpu-time",
    "localization": "localization",
    "refiners": f"refiners quality {ARCHIVES} --every 6",
    "refiners-memory": "refiners memory",
    "start": "starting start",
    "scale": "starting scale --images 3000",
    "memory": "memory --images 100 1000",
    "million": "million --images 10000",
}
HEAD = """# Benchmarks

Written by `make bench`; each section by its own command, on the machine it names. Other work ran beside it: CPU seconds
and ratios within a round count, seconds of the clock (`start`, `scale`) where the machine was idle.
"""


def describe_machine() -> str:
    """Processor, cores, threads and versions, in one line; no name of the machine."""
    found = [line for line in read_lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    model = found[0].partition(":")[2].strip() if found else platform.processor() or platform.machine()
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, threads: {threads}; {system}; {', '.join(digests.versions(LIBRARIES))}"


def read_lines(path: Path) -> list[str]:
    """Lines of a file, none where there is no such file."""
    return path.read_text().splitlines() if path.exists() else []


def run(name: str) -> str | None:
    """The section of one benchmark; None, said on stderr, where it failed or lacks what it measures."""
    words = RUNS[name].split()
    absent = [word for word in words if word.startswith("data/") and not (ROOT / word).exists()]
    if absent:
        print(f"{name}: left out, there is no {absent[0]} (make repro)", file=sys.stderr)
        return None
    command = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]]
    print(f"{name}: {' '.join(command[1:])}", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"{name}: failed", file=sys.stderr)
        return None
    head = f"## {name}\n\n```sh\npython -m benchmarks.{RUNS[name]}\n```\n\n{describe_machine()}."
    return f"{head}\n\n{lay_out(done.stdout)}\n"


def lay_out(text: str) -> str:
    """What a benchmark printed as Markdown: tables as they are, other lines one below the other."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(f"- {line}" if line and not line.startswith("|") else line for line in lines)


def split_sections(text: str) -> dict[str, str]:
    """Sections of a results file, by name."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].removeprefix("## ").strip(): part.strip() + "\n" for part in parts}


def main() -> None:
    """Run what was asked for, and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; none for all")
    chosen = parser.parse_args().names or list(RUNS)
    unknown = [name for name in chosen if name not in RUNS]
    if unknown:
        parser.error(f"there is no benchmark '{unknown[0]}': choose from {', '.join(RUNS)}")
    sections = split_sections(RESULTS.read_text()) if RESULTS.exists() else {}
    failed = []
    for name in chosen:
        section = run(name)
        if section is None:
            failed.append(name)
            continue
        sections[name] = section
        body = "\n".join(sections[each] for each in RUNS if each in sections)
        RESULTS.write_text(f"{HEAD}\n{body}")
    if failed:
        sys.exit(f"without a result: {', '.join(failed)}")


if __name__ == "__main__":
    main()
