"""`weakseg COMMAND`: for people; no stage of the pipeline uses it."""

from __future__ import annotations

import argparse
import importlib
import sys

from weakseg.harness import command

COMMANDS = ("explain", "segment", "crm", "inspect", "collect")


def parser() -> argparse.ArgumentParser:
    """Command line with one sub-command for each file of weakseg/cli."""
    result = argparse.ArgumentParser("weakseg", description="From image-level labels to segmentation masks and boxes.")
    subparsers = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"weakseg.cli.{name}").add(subparsers)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a UserError becomes one line on stderr and exit code 1."""
    parsed = parser().parse_args(arguments)
    module = importlib.import_module(f"weakseg.cli.{parsed.command}")
    return command.attempt(f"weakseg {parsed.command}", lambda: module.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
