"""The real training loop on a small network in float64, as one process or as one of several: rows and weights as JSON.

`python -m tests.training.fitting.two_ranks OUT`, with the environment of a launcher where there are several.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from weakseg.harness import processes
from weakseg.training.fitting import loop, whole_batch
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained

BATCH, STEPS = 7, 4


class Network(nn.Module):
    """Two branches with norms over the batch, a layer that only some pixels reach, one that nothing reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 6, 3), nn.Conv2d(3, 6, 3)
        self.norm, self.other = nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)
        self.unused, self.head = nn.Linear(2, 2), nn.Conv2d(6, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.stem(images)) + self.other(self.side(images))))


def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of the same batches in all of them; most pixels of the first images are left out."""
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(STEPS):
        images = torch.randn(BATCH, 3, 6, 6, generator=generator, dtype=torch.float64)
        targets = torch.randint(0, 4, (BATCH, 4, 4), generator=generator)
        targets[:3, 1:] = 255
        targets[:1] = 255
        mine = processes.share(BATCH)
        yield images[mine], targets[mine]


def main(out: Path) -> None:
    where = processes.launched()
    if where is not None:
        processes.join(where)
    torch.manual_seed(0)
    network = Network().double()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.1)

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, targets = batch
        total = nn.functional.cross_entropy(network(images), targets, ignore_index=255, reduction="sum")
        kept = targets != 255
        own = total / kept.sum().clamp(min=1)
        norms = whole_batch.mean(images.square().mean(), len(images))
        return {"loss": whole_batch.mean(own, kept.sum), "norms": norms}

    rows = loop.fit({"network": Trained(network, optimizer)}, batches, loss, Plan("ranks", 2, clip=1.0))
    state = {name: value.tolist() for name, value in network.state_dict().items()}
    states = processes.gather(state)
    if processes.is_first():
        assert all(other == states[0] for other in states), "ranks end with other weights"
        out.write_text(json.dumps({"rows": rows, "state": state}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
