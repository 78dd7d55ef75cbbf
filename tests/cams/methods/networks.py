"""Small networks with each kind of head, and the published formulas written out image by image, class by class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weakseg.cams.view import look
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier, PooledHead

CLASSES = 5
CHANNELS = 12
OPTIONS = {
    "cam": {"weights": "class"},
    "pc1": {"weights": "class"},
    "scorecam": {"channels": 0, "grouping": "top", "chunk": 5},
}
NEEDS_POOLED_HEAD = ("cam", "pc1")
NEEDS_TRANSFORMER = ("rollout",)  # tested in tests/cams/test_affinity.py and tests/networks/test_attention.py


def classifier(kind: str = "none", signed: bool = False, seed: int = 0) -> Classifier:
    """Three convolutions with BatchNorm to 12 channels, features post-ReLU or of both signs, in training mode.

    kind: none, batchnorm or layernorm (pooled heads), or mlp, a head that is not pooled linear.
    """
    torch.manual_seed(seed)

    def block(before: int, after: int, stride: int, last: bool) -> nn.Sequential:
        parts = [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after)]
        return nn.Sequential(*parts, nn.Identity() if last and signed else nn.ReLU(inplace=True))

    blocks = nn.Sequential(block(3, 6, 2, False), block(6, 8, 2, False), block(8, CHANNELS, 1, True))
    if kind == "mlp":
        head: nn.Module = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * CHANNELS, 9), nn.Tanh(), nn.Linear(9, CLASSES)
        )
    else:
        head = PooledHead(CHANNELS, CLASSES, kind)
        nn.init.normal_(head.weight, std=0.7)
    for module in (*blocks.modules(), *head.modules()):
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.normal_(module.weight, 1, 0.5)
            nn.init.normal_(module.bias, std=0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.2, 3)
            nn.init.normal_(module.running_mean)
    return Classifier(blocks, head, 4)


def batch(size: int = 3, side: int = 24, per_image: int = 3) -> tuple[Tensor, Tensor]:
    """Images (B,3,S,S) and classes (B,K), one of them twice in a row."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 3, side, side, generator=generator)
    return images, torch.randint(0, CLASSES, (size, per_image), generator=generator)


def explain(method: str, network: Classifier, images: Tensor, classes: Tensor, level: int = 0) -> Tensor:
    """Maps (B,K,h,w) of a method by name, with its options here, of images seen from a level."""
    return choices.load("methods", method).maps(look(network, images, level), classes, **OPTIONS.get(method, {}))


def formula(method: str, activation: Tensor, gradient: Tensor) -> Tensor:
    """The published map (h,w) from A (C,h,w) and g (C,h,w), channel by channel, with nothing simplified."""
    total = torch.zeros_like(activation[0])
    for a, g in zip(activation, gradient, strict=True):
        if method == "gradcam":
            total = total + g.mean() * a
        elif method == "gradcampp":
            denominator = 2 * g**2 + a.sum() * g**3
            defined = (g != 0) & (2 + a.sum() * g > 0)
            alpha = torch.where(defined, g**2 / denominator.where(defined, 1), 0)
            total = total + (alpha * g.relu()).sum() * a
        elif method == "xgradcam":
            total = total + ((g * a).sum() / a.sum() * a if a.sum() != 0 else g.mean() * a)
        elif method == "hirescam":
            total = total + g * a
        elif method == "layercam":
            total = total + g.relu() * a
    return total.relu() if method in ("gradcam", "gradcampp") else total


def truth(network: Classifier, images: Tensor, classes: Tensor, method: str, level: int = 0) -> Tensor:
    """Maps (B,K,h,w) by float64 autograd through the whole rest of the network, one image and class at a time."""
    network = network.double().eval()
    cut = network.levels if level == 0 else network.check_level(level)
    rows = []
    for image, wanted in zip(images.double(), classes.tolist(), strict=True):
        maps = []
        for index in wanted:
            activation = network.features_at(image[None], cut).detach().requires_grad_()
            logit = network.head(network.blocks[cut:](activation.clone()))[0, index]
            (gradient,) = torch.autograd.grad(logit, activation)
            maps.append(formula(method, activation.detach()[0], gradient[0]))
        rows.append(torch.stack(maps))
    network.float()
    return torch.stack(rows)


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference of each map relative to its largest value, the worst map's."""
    peak = expected.abs().amax((-2, -1))
    return float(((found.double() - expected).abs().amax((-2, -1)) / peak.where(peak > 0, 1)).max())
