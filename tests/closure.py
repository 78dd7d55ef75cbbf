"""The import closure of a stage, and the code dependencies it must list in dvc.yaml.

`python -m tests.closure --write` rewrites those lines of dvc.yaml.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import typing
from pathlib import Path

import yaml

from weakseg.harness import choices

ROOT = Path(__file__).resolve().parent.parent
DVC_YAML = ROOT / "dvc.yaml"
SHARED = ("seed", "data", "backbones")  # sections of params.yaml that belong to no stage
COMMAND = re.compile(r"python -m stages\.(\w+)")


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
    ours = {name for name in names if name.split(".")[0] in ("weakseg", "stages")}
    return frozenset(file for file in map(module_file, ours) if file)


@functools.cache
def folders(path: str) -> frozenset[str]:
    """Choice folders that `path` loads from: `choices.load("x", ...)`, or a `choices` table of a Params."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="choices"), attr="load" | "names"), args=[ast.Constant(name), *_]
            ):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id="choices"), value=ast.Dict(values=pairs)):
                found |= {pair.elts[0].value for pair in pairs}
    return frozenset(found)


def choice_files(folder: str) -> list[Path]:
    """Source files of a folder of choices."""
    return sorted((ROOT / "weakseg" / choices.FOLDERS[folder]).glob("*.py"))


def closure(path: str) -> tuple[set[str], set[str]]:
    """Files `path` depends on (itself included, choice files not), and the choice folders it loads from.

    The imports of every choice in such a folder count, because the choice may change without dvc.yaml.
    """
    files: set[str] = set()
    loaded: set[str] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        waiting += imports(file)
        for folder in folders(file) - loaded:
            loaded.add(folder)
            waiting += [name for choice in choice_files(folder) for name in imports(rel(choice))]
    for folder in loaded:
        for choice in choice_files(folder):
            for nested in folders(rel(choice)) - loaded:
                raise ValueError(f"{choice} loads choices of {nested}: a choice may not load choices")
    return files, loaded


def rel(path: Path) -> str:
    """Path relative to the root."""
    return path.relative_to(ROOT).as_posix()


def stage_blocks() -> dict[str, dict]:
    """The stages of dvc.yaml."""
    return yaml.safe_load(DVC_YAML.read_text())["stages"]


def stage_file(block: dict) -> str:
    """The stage file a block runs."""
    match = COMMAND.search(block["cmd"])
    assert match, block["cmd"]
    return f"stages/{match.group(1)}.py"


def is_code(dependency: str) -> bool:
    """Whether a dependency is a source file rather than an artifact."""
    return dependency.startswith(("stages/", "weakseg/"))


def fields(block: dict) -> list[str]:
    """Parameters a block reads: every field of its Params, with its section, in the order of the class."""
    path = stage_file(block)
    main = importlib.import_module(path[:-3].replace("/", ".")).main
    section, model = Path(path).stem, typing.get_type_hints(main)["params"]
    return [field if field in SHARED else f"{section}.{field}" for field in model.model_fields]


def rewrite() -> str:
    """dvc.yaml with code dependencies and parameters as the stages say; templated lines are kept."""
    blocks = stage_blocks()
    lines: list[str] = []
    block, part = {}, ""
    for line in DVC_YAML.read_text().splitlines():
        header = re.fullmatch(r"  (\w+):", line)
        block = blocks[header.group(1)] if header else block
        heading = re.fullmatch(r"    (\w+):.*", line)
        if heading:
            if part == "deps":
                lines += [f"      - {file}" for file in sorted(closure(stage_file(block))[0])]
            part = heading.group(1)
        code = part == "deps" and re.fullmatch(r"      - (stages|weakseg)/[^$]*", line)
        parameter = part == "params" and re.fullmatch(r"      - [^$]*", line)
        if not (code or parameter):
            lines.append(line)
        if line == "    params:":
            lines += [f"      - {field}" for field in fields(block)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = rewrite()
    if "--write" in sys.argv:
        DVC_YAML.write_text(text)
    else:
        print(text, end="")
