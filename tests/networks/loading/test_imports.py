"""Networks that need neither timm nor torchvision do not wait for their import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from weakseg.harness import choices
from weakseg.networks.loading import saved_classifier
from weakseg.networks.segmentation import saved_segmenter
from weakseg.networks.segmenters import topdown

SLOW = "slow = {'timm', 'torchvision', 'segmentation_models_pytorch'} & set(sys.modules)\nassert not slow, slow\n"
RUN = """
network, header = {module}.load(Path(sys.argv[1]))
with torch.no_grad():
    assert network(torch.zeros(1, 3, 64, 64)).isfinite().all()
"""


def run(code: str, *arguments: object) -> None:
    """Run code in a process of its own, and see that nothing slow was imported in it."""
    command = [sys.executable, "-c", f"import sys\n{code}\n{SLOW}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=choices.PACKAGE.parent)
    assert done.returncode == 0, done.stderr


def test_no_module_of_the_room_imports_them_at_its_head() -> None:
    names = [
        ".".join(path.relative_to(choices.PACKAGE.parent).with_suffix("").parts)
        for path in sorted((choices.PACKAGE / "networks").rglob("*.py"))
        if path.name != "__init__.py"
    ]
    run("\n".join(f"import {name}" for name in names))


@pytest.mark.parametrize("backbone", ["slak", "replknet"])
def test_a_saved_classifier_loads_and_runs_without_them(backbone: str, tmp_path: Path) -> None:
    header = saved_classifier.describe(backbone, "small", ["cat", "dog"], 64, "single")
    saved_classifier.save(tmp_path / "file.safetensors", saved_classifier.build(header), header)
    imports = "from pathlib import Path\nimport torch\nfrom weakseg.networks.loading import saved_classifier"
    run(imports + RUN.format(module="saved_classifier"), tmp_path / "file.safetensors")


def test_a_saved_segmenter_on_its_classifier_does_too(tmp_path: Path) -> None:
    classifier = choices.load("backbones", "slak").build("small", 2, "random")
    header = saved_segmenter.Header("topdown", "light", "slak", "small", ["object"], 64, 64, [1.0], True)
    segmenter = topdown.build("light", 2, "random", classifier=classifier)
    saved_segmenter.save(tmp_path / "file.safetensors", segmenter, header)
    imports = "from pathlib import Path\nimport torch\nfrom weakseg.networks.segmentation import saved_segmenter"
    run(imports + RUN.format(module="saved_segmenter"), tmp_path / "file.safetensors")


@pytest.mark.parametrize("backbone", ["slak", "replknet", "unet"])
def test_timm_is_not_asked_about_networks_of_ours(backbone: str) -> None:
    imports = "from weakseg.harness import choices\nfrom weakseg.networks.weight_files.identify import read_published\n"
    variants = f"choices.load('backbones', '{backbone}').VARIANTS"
    run(f"{imports}assert not any(read_published('{backbone}', name) for name in {variants})")
