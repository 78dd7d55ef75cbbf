"""Every artifact's one home: a save / load pair and a check on load, all of them byte-deterministic.

Per-image artifacts are one uncompressed zip with fixed entry headers: random access, opens in any viewer,
one hash for DVC. Files are written under a temporary name and renamed when they are whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weakseg.errors import UserError

if TYPE_CHECKING:
    import torch
from weakseg.harness.files import existing, save_bytes


def save_network(path: Path, module: torch.nn.Module, header: dict[str, Any]) -> None:
    """Write weights as safetensors with the builder's arguments in the header."""
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    save_bytes(path, save(state, metadata={"weakseg": json.dumps(header, sort_keys=True)}))


def load_network(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read weights and header; UserError when the file is damaged or not one of this project's."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(existing(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})["weakseg"])
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, header
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is no network that weakseg saved ({error}): rerun the stage that writes it") from None
