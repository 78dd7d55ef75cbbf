"""The import closure of a stage, and the code dependencies it must list in dvc.yaml.

`python -m tests.closure --write` rewrites those lines of dvc.yaml and of studies/*/dvc.yaml, below each
`# code (make deps)`.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import yaml

from weakseg.harness import choices

ROOT = Path(__file__).resolve().parent.parent
DVC_YAML = ROOT / "dvc.yaml"
STUDIES = sorted(ROOT.glob("studies/*/dvc.yaml"))
CODE = ("stages", "studies", "weakseg")
COMMAND = re.compile(r"python -m ((?:stages|studies)[\w.]*)")
MARK = "# code (make deps)"
NUMBERS = "weakseg/harness/device.py"  # all of the harness that can change a number
CARRIED = "backbones"  # saved networks carry the digest of their backbone's file
BUILDERS = ("train_classifier",)  # what builds a backbone from params.yaml rather than from a saved network


@functools.cache
def tree(path: str) -> ast.Module:
    """Parsed source of a file given relative to the root."""
    return ast.parse((ROOT / path).read_text())


def module_file(dotted: str) -> str | None:
    """`weakseg.errors` -> weakseg/errors.py; None for packages and names that are no file."""
    path = Path(*dotted.split(".")).with_suffix(".py")
    return path.as_posix() if (ROOT / path).is_file() else None


@functools.cache
def imports(path: str) -> frozenset[str]:
    """Project files that `path` imports by statement, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] in CODE}
    return frozenset(file for file in map(module_file, ours) if file)


@functools.cache
def package_data(path: str) -> frozenset[str]:
    """Files beside `path` that are no source and that it names in a string, such as a template."""
    strings = {node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)}
    beside = (
        (ROOT / path).parent / name for name in strings if isinstance(name, str) and re.fullmatch(r"\w+\.\w+", name)
    )
    return frozenset(rel(file) for file in beside if file.is_file() and file.suffix != ".py")


@functools.cache
def folders(path: str) -> frozenset[str]:
    """Choice folders that `path` loads from: `choices.load("x", ...)`, or `Of("x", ...)` of a Params."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="choices"), attr="load"), args=[ast.Constant(name), *_]):
                found.add(name)
            case ast.Call(func=ast.Name(id="Of"), args=[ast.Constant(name), *_]):
                found.add(name)
    return frozenset(found)


def choice_files(folder: str) -> list[Path]:
    """Source files of a folder of choices."""
    return sorted((ROOT / "weakseg" / choices.FOLDERS[folder]).glob("*.py"))


def closure(path: str) -> tuple[set[str], set[str]]:
    """Files `path` depends on (itself included, choice files not), and the choice folders it loads from.

    The imports of every choice in such a folder count, because the choice may change without dvc.yaml. Of the harness
    only what can change a number counts.
    """
    files: set[str] = set()
    loaded: set[str] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in files or (file != NUMBERS and is_harness(file)):
            continue
        files |= {file} | package_data(file)
        waiting += imports(file)
        for folder in folders(file) - loaded:
            loaded.add(folder)
            waiting += [name for choice in choice_files(folder) for name in imports(rel(choice))]
    for folder in loaded:
        for choice in choice_files(folder):
            for nested in folders(rel(choice)) - loaded:
                raise ValueError(f"{choice} loads choices of {nested}: a choice may not load choices")
    return files, loaded


def is_harness(path: str) -> bool:
    """Whether a file cannot change a number: it runs stages, tracks progress, or phrases errors."""
    return path.startswith("weakseg/harness/") or path == "weakseg/errors.py"


def rel(path: Path) -> str:
    """Path relative to the root."""
    return path.relative_to(ROOT).as_posix()


def gathered(files: set[str]) -> list[str]:
    """The files, sorted, a folder standing for its files where it holds several and nothing else."""
    result = set(files)
    nested = sorted(
        (path for path in (ROOT / "weakseg").rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)
    )
    for folder in nested:
        inside = {rel(path) for path in folder.glob("*") if path.name not in ("__init__.py", "__pycache__")}
        if len(inside) > 1 and inside <= result:
            result = (result - inside) | {rel(folder)}
    return sorted(result, key=lambda path: (path.startswith("weakseg"), path))


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
    """Whether a dependency is a source file rather than an artifact."""
    return dependency.startswith(tuple(f"{package}/" for package in CODE))


def templates(path: str) -> set[str]:
    """Choice folders of which a stage must name the chosen file in dvc.yaml."""
    builds = Path(path).stem in BUILDERS
    return {folder for folder in closure(path)[1] if folder != CARRIED} | ({CARRIED} if builds else set())


def rewrite(path: Path = DVC_YAML) -> str:
    """A dvc.yaml with code dependencies as the imports say; templated lines are kept."""
    blocks = stage_blocks(path)
    lines: list[str] = []
    block, listing = {}, False
    for line in path.read_text().splitlines():
        header = re.fullmatch(r"  (\w+):", line)
        block = blocks.get(header.group(1), {}) if header else block
        code = re.fullmatch(r" +- (stages|studies|weakseg)/[^$]*", line)
        if not (listing and code):
            lines.append(line)
            listing = line.strip() == MARK
        if line.strip() == MARK:
            indent = line[: line.index("#")]
            lines += [f"{indent}- {file}" for file in gathered(closure(stage_file(block))[0])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for drawing in (DVC_YAML, *STUDIES):
        text = rewrite(drawing)
        if "--write" in sys.argv:
            drawing.write_text(text)
        else:
            print(text, end="")
