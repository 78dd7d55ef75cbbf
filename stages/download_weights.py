"""Bring the weight files that training starts from and keep them as safetensors; `none` gives a file without tensors.

reads: the files or addresses that the parameters name
writes: the backbone's weights; VGG-19's for the perceptual loss
scores: tensors of each
"""

from __future__ import annotations

from pathlib import Path

from weakseg.harness import files, resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks import fetch_weights


class Params(StageParams):
    backbone: str  # none, or the path or address of a weight file, #sha256=<digits> appended where known
    perceptual: str  # VGG-19: none, torchvision, or as above


def main(params: Params, *, backbone: Path, perceptual: Path) -> dict[str, float]:
    vgg19 = fetch_weights.TORCHVISION_VGG19
    official = f"{vgg19.address}#{vgg19.checksum.replace(':', '=')}"
    origin = official if params.perceptual == "torchvision" else params.perceptual
    folder = resume.ROOT / "download_weights"
    with files.together(backbone, perceptual) as (new_backbone, new_perceptual):
        tensors = fetch_weights.bring(params.backbone, folder, new_backbone)
        kept = fetch_weights.bring(origin, folder, new_perceptual, prefix="features.")
    return {"backbone_tensors": tensors, "perceptual_tensors": kept}


if __name__ == "__main__":
    run(main)
