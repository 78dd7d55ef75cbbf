"""The drawing as the tests read it: blocks of dvc.yaml, the program of each, and its code dependencies."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from weakseg.harness import source_code

ROOT = source_code.ROOT
DVC_YAML = ROOT / "dvc.yaml"
STUDIES = sorted(ROOT.glob("studies/*/dvc.yaml"))
COMMAND = re.compile(r"python -m ((?:stages|studies)[\w.]*)")
LISTS = "data/code"  # of the files that each program uses
CARRIED = "backbones"  # saved networks carry the digest of their backbone's file
BUILDERS = ("train_classifier",)  # what builds a backbone from params.yaml rather than from a saved network


def tree(path: str) -> ast.Module:
    """Parsed source of a file given relative to the root."""
    return source_code.parse(ROOT / path)


def imports(path: str) -> set[str]:
    """Project files that `path` imports by statement, anywhere in it."""
    return set(map(rel, source_code.imports(ROOT / path)))


def closure(path: str) -> set[str]:
    """Files that can change what `path` computes."""
    return set(map(rel, source_code.closure(ROOT / path)[0]))


def rel(path: Path) -> str:
    """Path relative to the root."""
    return path.relative_to(ROOT).as_posix()


def stage_blocks(path: Path = DVC_YAML) -> dict[str, dict]:
    """The stages of a dvc.yaml; one that runs for each network is what stands below `do`."""
    blocks = yaml.safe_load(path.read_text())["stages"]
    return {name: block.get("do", block) for name, block in blocks.items()}


def stage_file(block: dict) -> str:
    """The stage file a block runs."""
    match = COMMAND.search(block["cmd"])
    assert match, block["cmd"]
    return f"{match.group(1).replace('.', '/')}.py"


def is_code(dependency: str) -> bool:
    """Whether a dependency is a source file, or a list of those, rather than an artifact."""
    return dependency.split("/")[0] in source_code.CODE or dependency.startswith(f"{LISTS}/")


def code_list(path: str) -> str:
    """The list of the files that a program uses."""
    return f"{LISTS}/{Path(path).with_suffix('.txt')}"


def templates(path: str) -> set[str]:
    """Choice folders of which a stage must name the chosen file in dvc.yaml."""
    builds = Path(path).stem in BUILDERS
    return {folder for folder in source_code.closure(ROOT / path)[1] if folder != CARRIED} | (
        {CARRIED} if builds else set()
    )
