"""Check all of params.yaml before anything runs: every section, entry, choice and option, and the files it names.

reads   params.yaml
writes  the same line whenever all is well, so that nothing after it reruns
scores  nothing
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import stages
from weakseg.data.sources import downloads
from weakseg.errors import UserError
from weakseg.evaluation.boxes.recipe import check_source
from weakseg.harness import checked_params, files
from weakseg.harness.params import StageParams, read
from weakseg.harness.stage import all_params, run
from weakseg.networks.weight_files.class_lists import load_class_list

LEGAL = b"Every section, entry, choice and option is legal, and every file that is named exists.\n"


def class_list_problems(networks: dict[str, Any]) -> list[str]:
    """What is wrong with the class lists that entries name, of those that exist on this machine."""
    found = []
    for name, entry in networks.items():
        path = Path(entry.get("classes") or "")
        if path.is_file():
            try:
                load_class_list(path)
            except UserError as error:
                found.append(f"networks.{name}.classes: {error}")
    return found


class Params(StageParams):
    pass


def main(params: Params, *, parameters: Path, out: Path) -> None:
    whole = read(parameters)
    problems = checked_params.check_all(whole, all_params(stages))
    if not problems:
        problems = downloads.missing(checked_params.origins(whole))
        problems += class_list_problems(whole["networks"])
        boxes, rules = whole["evaluate_boxes"], whole["distill_cams"]["rules"]
        problems += check_source(boxes, rules, whole["networks"], whole["mask_network"])
    if problems:
        raise UserError("\n  ".join([f"mend {parameters}:", *problems]))
    files.save_bytes(out, LEGAL)


if __name__ == "__main__":
    run(main, torch=False)
