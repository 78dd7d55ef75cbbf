"""Frozen forward passes on a CPU: PyTorch as the stages run it, without channels last, and ONNX Runtime if installed.

python -m benchmarks.engines                    MobileNetV2 at stride 16, 256 pixels, one thread, all levels of one grid

ONNX Runtime chooses its instructions itself: a comparison is fair where PyTorch is not held back by
ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA. It and `onnx` are no dependency of this project.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import tempfile
import warnings
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import timing
from weakseg.harness import choices, stage
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier

WANTED = (-4, -3, -2, -1, 0)


class Levels(nn.Module):
    """Features after some levels of a classifier, as a tuple."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(classifier.blocks).to(memory_format=torch.contiguous_format)
        self.stops = {levels.count_blocks(classifier, level) for level in WANTED}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B,3,H,W) -> one (B,C,h,w) a level."""
        found = []
        for number, block in enumerate(self.blocks, 1):
            images = block(images)
            if number in self.stops:
                found.append(images)
        return tuple(found)


def run_torch(classifier: Classifier, images: Tensor) -> list[Tensor]:
    """The levels by PyTorch."""
    with torch.inference_mode():
        return list(levels.outputs(classifier, images, WANTED).values())


def run_plain(network: Levels, images: Tensor) -> tuple[Tensor, ...]:
    """The same without channels last."""
    with torch.inference_mode():
        return network(images)


def build_session(network: Levels, images: Tensor):
    """An ONNX Runtime session with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path, axes = f"{folder}/network.onnx", {"images": {0: "batch"}}
        torch.onnx.export(network.eval(), (images[:2],), path, dynamo=False, input_names=["images"], dynamic_axes=axes)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def difference(found: list[np.ndarray], expected: list[Tensor]) -> float:
    """Largest difference, over the largest value of its level."""
    pairs = zip(found, expected, strict=True)
    return max(float((torch.from_numpy(one) - other).abs().max() / other.abs().max()) for one, other in pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    torch.manual_seed(0)
    classifier = choices.load("backbones", "mobilenet").build("mobilenetv2_100_same_os16", 37, "random").eval()
    network = Levels(classifier)
    classifier.to(memory_format=torch.channels_last)
    images = torch.randn(arguments.batch, 3, 256, 256)
    work: dict = {"torch": partial(run_torch, classifier, images.contiguous(memory_format=torch.channels_last))}
    work["torch, not channels last"] = partial(run_plain, network, images)
    print(f"batch {arguments.batch}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()},")
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        session = build_session(network, images)
        work["ONNX Runtime"] = partial(session.run, None, {"images": images.numpy()})
        off = difference(work["ONNX Runtime"](), work["torch"]())
        print(f"ONNX Runtime differs by {off:.0e} of a level's largest value,")
    print(f"{arguments.rounds} rounds, CPU seconds\n")
    print(timing.tabulate(timing.measure(work, arguments.rounds), "torch"))


if __name__ == "__main__":
    main()
