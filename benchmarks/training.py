"""A training step of the one loop beside a plain loop of PyTorch: the same network of timm, the same batches.

    python -m benchmarks.training                   MobileNetV2, 16 images of 96 pixels, AdamW

Reading and augmenting images is part of neither. Both end with the same loss, to rounding.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import timing
from weakseg.harness import choices, stage
from weakseg.networks.classifier import Classifier
from weakseg.training.classification import classifier as classification
from weakseg.training.fitting import loop
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained
from weakseg.training.recipes.classifier import Recipe

CLASSES, RATE = 37, 1e-3
OBJECTIVE: dict[str, Any] = {  # what of a recipe the loss of a batch reads
    "target": "single", "label_smoothing": 0.0, "dice_weight": 0.0, "dice_rounds": 0, "precision": "fp32",
}  # fmt: skip
Batches = list[tuple[Tensor, Tensor]]


def train_here(network: Classifier, batches: Batches, recipe: Recipe) -> float:
    """The last loss of a pass by the loop that every stage trains with."""
    seen: list[float] = []
    objective = classification.objective(network, recipe)

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        found = objective(batch, epoch)
        seen.append(float(found["loss"].detach()))
        return found

    part = Trained(network, torch.optim.AdamW(network.parameters(), RATE))
    with redirect_stderr(StringIO()):
        loop.fit({"network": part}, lambda epoch: batches, loss, Plan("network", 1))
    return seen[-1]


def train_plainly(network: nn.Module, batches: Batches) -> float:
    """The same as a tutorial writes it; the loss is read in each step, as progress bars do."""
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    last = 0.0
    network.train()
    for images, labels in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
    return last


class Plain(nn.Module):
    """The blocks and the head of a classifier, without what surrounds them here."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.blocks, self.head = copy.deepcopy(classifier.blocks), copy.deepcopy(classifier.head)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B,3,H,W) -> logits (B,K)."""
        return self.head(self.blocks(images))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="mobilenetv2_100")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    torch.manual_seed(0)
    built = choices.load("backbones", "timm").build(arguments.variant, CLASSES, "random")
    built.to(memory_format=torch.channels_last)
    shape = arguments.batch, 3, arguments.size, arguments.size
    batches = [
        (torch.randn(shape).contiguous(memory_format=torch.channels_last), torch.randint(CLASSES, shape[:1]))
        for _ in range(arguments.steps)
    ]
    recipe = Recipe.model_construct(**OBJECTIVE)
    work: dict[str, Callable[[], float]] = {
        "plain loop": lambda: train_plainly(Plain(built), batches),
        "weakseg": lambda: train_here(copy.deepcopy(built), batches, recipe),
    }
    ends = {name: run() for name, run in work.items()}
    print(f"{arguments.variant}, {arguments.steps} steps of {arguments.batch} images of {arguments.size} pixels,")
    print(
        f"{arguments.rounds} rounds, CPU seconds; last losses differ by {max(ends.values()) - min(ends.values()):.0e}\n"
    )
    print(timing.tabulate(timing.measure(work, arguments.rounds), "plain loop"))


if __name__ == "__main__":
    main()
