"""What the features of a frozen network depend on, as one name: so that whoever asks for the same finds the same."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from weakseg.data.samples import Reader
from weakseg.harness import choices, digests
from weakseg.harness import device as hardware
from weakseg.networks.classifier import Classifier, LinearHead

CODE = ("networks", "data", "artifacts/formats")  # folders whose files decide what a network sees and gives


@cache
def digest_code(package: Path = choices.PACKAGE) -> str:
    """Digest of the code that turns an archive of images into features, and the versions of what it uses."""
    used = sorted(path for folder in CODE for path in (package / folder).rglob("*.py"))
    return digests.of_parts(digests.of_code(used).encode(), repr(digests.versions()).encode()).hex()


def digest_body(classifier: Classifier, head: LinearHead) -> str:
    """Digest of all that lies before the linear layer: the weights, and what no weight says, such as strides."""
    parts = [classifier.blocks, *(part for name, part in head.named_children() if name != "linear")]
    digest = hashlib.sha256(f"{parts}".encode())
    for part in parts:
        for name, tensor in part.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def maker(classifier: Classifier, head: LinearHead, reader: Reader) -> str:
    """Sixteen hex digits that change with the network, how images are shown to it, the code or the machine.

    The size of a batch is part of it: another one gives the same numbers up to rounding, not to the last bit.
    """
    precision = hardware.used(reader.precision)
    seen = [reader.size, reader.crop, reader.batch_size, precision, classifier.mean, classifier.std]
    return _hash([digest_body(classifier, head), seen, digests.machine(), digest_code()])


def name(classifier: Classifier, head: LinearHead, reader: Reader) -> str:
    """Sixteen hex digits that change with `maker` and with an image of the reader's archive."""
    return _hash([reader.images.checksums(), maker(classifier, head, reader)])


def _hash(facts: list[Any]) -> str:
    return digests.of_parts(json.dumps(facts).encode()).hex()[:16]
