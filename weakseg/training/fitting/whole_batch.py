"""One batch over several processes: each has a share of its images, and all together take the step of one process.

A loss is a mean over images, pixels or maps. Each process has the mean of its own, and `mean` weighs them by how many
they are of: the value is that of the whole batch in all of them, the gradient that of their own part. Gradients are
added up, not averaged: so unequal shares, and pixels that are left out, count as in one process. Norms over the batch
see the whole of it (`whole_norms`). The same numbers as of one process up to rounding; alone, the very same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from weakseg.harness import processes


def mean(term: Tensor, weight: int | Callable[[], Tensor]) -> Tensor:
    """The whole batch's mean, a scalar, from this process's mean `term` over `weight` images, pixels or maps.

    A share of weight 0 counts for nothing; where no process has any the mean is 0. A weight that takes work is asked
    for only where there are several processes.
    """
    if processes.count() == 1:
        return term
    given = weight if isinstance(weight, int) else weight().detach()
    own = torch.as_tensor(given, dtype=torch.float64, device=term.device)
    value = torch.where(own > 0, term.detach().double() * own, 0.0)
    total, whole = processes.add_up(torch.stack([value, own])).unbind()
    whole = whole.clamp(min=torch.finfo(torch.float32).tiny)
    # The value of the whole batch, with the gradient of the own share.
    return (total / whole).to(term.dtype) + (term - term.detach()).nan_to_num() * (own / whole).to(term.dtype)


def add_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Give every weight the sum of all processes' gradients; one that none of them has a gradient of keeps None."""
    weights = list(weights)
    if processes.count() == 1 or not weights:
        return
    grads = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    there = torch.tensor([weight.grad is not None for weight in weights], device=grads[0].device)
    flat = processes.add_up(torch.cat([*(grad.reshape(-1) for grad in grads), there.to(grads[0].dtype)]))
    parts = flat.split([*(grad.numel() for grad in grads), len(grads)])
    for weight, part, anywhere in zip(weights, parts, parts[-1].tolist(), strict=False):
        weight.grad = part.view(weight.shape).to(weight.dtype) if anywhere else None


class _AddUp(torch.autograd.Function):
    """The sum over all processes; each one's part has the sum of the gradients that the sum has in all of them."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return processes.add_up(values.clone())

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return processes.add_up(gradients[0].clone())


def batch_norm(  # noqa: PLR0913, PLR0917 - the arguments are torch's
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` of the whole batch, from this process's share (B,C,...).

    What SyncBatchNorm does, which torch has for GPUs alone. Statistics are in float32 at least.
    """
    if not training:
        return F.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    axes, shape = [0, *range(2, images.ndim)], (1, -1, *[1] * (images.ndim - 2))
    values = images.to(torch.promote_types(images.dtype, torch.float32))
    count = processes.add_up(torch.tensor(float(values.numel() // values.shape[1]), device=values.device))
    center = _AddUp.apply(values.sum(axes)) / count  # (C,)
    apart = values - center.view(shape)
    spread = _AddUp.apply(apart.square().sum(axes)) / count  # (C,)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(center.to(running_mean.dtype), momentum)
            running_var.lerp_((spread * count / (count - 1)).to(running_var.dtype), momentum)
    found = apart * (spread + eps).rsqrt().view(shape)
    if weight is not None:
        found = found * weight.view(shape)
    if bias is not None:
        found = found + bias.view(shape)
    return found.to(images.dtype)


class _WholeNorms(TorchFunctionMode):
    """Every batch norm, whichever module calls it, is that of the whole batch."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (batch_norm if function is F.batch_norm else function)(*args, **(kwargs or {}))


def whole_norms() -> AbstractContextManager:
    """Within it, norms over the batch see the shares of all processes; alone nothing changes."""
    return nullcontext() if processes.count() == 1 else _WholeNorms()
