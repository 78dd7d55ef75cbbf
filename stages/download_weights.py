"""Bring the weight files that networks start from, and keep them as safetensors.

reads   the files or addresses that the parameters name
writes  a folder with a file for each network (without tensors for `random` and `pretrained`); VGG-19's for CRM, and
        the reconstruction network that CRM starts from
scores  tensors of each
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weakseg.harness import files, resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run
from weakseg.networks.weight_files import fetch_weights


class Params(StageParams):
    networks: dict[str, Any]  # of each `weights` and `classes`; to a path or address #sha256=<digits> may be appended
    perceptual: str  # VGG-19: none, torchvision, or a path or address
    reconstruct: str  # reconstruction network that train_crm starts from: none, or a path or address


def main(params: Params, *, checked: Path, out: Path, perceptual: Path, reconstruct: Path) -> Outcome:
    files.existing(checked)
    origins = {name: entry["weights"] for name, entry in params.networks.items()}
    entries = params.networks.items()
    with resume.folder(__file__, [], []) as folder:
        lists = {name: fetch_weights.bring_class_list(entry.get("classes"), folder) for name, entry in entries}
        with files.together(out, perceptual, reconstruct) as (new_folder, new_perceptual, new_reconstruct):
            new_folder.mkdir()
            tensors = {
                name: fetch_weights.bring(origin, folder, new_folder / f"{name}.safetensors", classes=lists[name])
                for name, origin in origins.items()
            }
            tensors["vgg19"] = fetch_weights.bring_vgg19(params.perceptual, folder, new_perceptual)
            tensors["reconstruct"] = fetch_weights.bring(params.reconstruct, folder, new_reconstruct)
    return Outcome(scores={**tensors})


if __name__ == "__main__":
    run(main, torch=False)
