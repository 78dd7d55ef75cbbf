"""Saved segmenters: weights, and in the header what it takes to build and to test the network again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved, saved_classifier
from weakseg.networks.segmentation.predict import Copies
from weakseg.networks.segmentation.segmenter import Segmenter

NOUN = "round"
NAMES = ("segmenter", "train_segmenter")  # what the files hold, and the stage that writes them


@dataclass(frozen=True)
class Header:
    """Builder's arguments and the way of testing.

    segmenter, variant: file and variant; backbone, backbone_variant: of the classifier it may stand on; classes:
    names of the mask ids 1, 2, ... (one name where all classes are one foreground); size: side it was trained at;
    test_size, test_scales, test_flip: how to predict; code: digest of the backbone's file.
    """

    segmenter: str
    variant: str
    backbone: str
    backbone_variant: str
    classes: list[str]
    size: int
    test_size: int
    test_scales: list[float]
    test_flip: bool
    code: str = ""

    @property
    def outputs(self) -> int:
        """Logits a pixel: background and the classes."""
        return len(self.classes) + 1

    @property
    def copies(self) -> Copies:
        """What of an image is averaged in a test."""
        return Copies(self.test_scales, self.test_flip)


def load_encoder(path: Path, variant: str) -> tuple[Classifier, saved_classifier.Header]:
    """A saved classifier, rebuilt as another variant of its backbone ("" for its own) with the same weights.

    A variant with the same keys, such as another output stride; UserError when the weights do not fit it.
    """
    classifier, header = saved_classifier.load(path)
    if variant in ("", header.variant):
        return classifier, header
    header = replace(header, variant=variant)
    other = saved_classifier.build(header)
    try:
        other.load_state_dict(classifier.state_dict())
    except RuntimeError:
        raise UserError(f"encoder_variant {variant} does not have the same weights as {path}: leave it empty") from None
    return other, header


def build(header: Header) -> Segmenter:
    """The network of a header with random weights."""
    backbone = saved_classifier.Header(header.backbone, header.backbone_variant, ["any"], header.size)
    module = choices.load("segmenters", header.segmenter)
    return module.build(header.variant, header.outputs, "random", classifier=saved_classifier.build(backbone))


def save(path: Path, segmenter: Segmenter, header: Header) -> None:
    """Write a segmenter."""
    saved.save_network(path, segmenter, asdict(header))


def load(path: Path) -> tuple[Segmenter, Header]:
    """Rebuild a segmenter in evaluation mode; UserError when the weights do not fit what the header says."""
    return saved.load(path, Header, build, *NAMES)


def header(path: Path) -> Header:
    """What a saved segmenter's file says of it, without building the network; UserError where it holds none."""
    return saved.parse_header(path, saved.read_header(path), Header, *NAMES)


def rounds(folder: Path) -> list[Path]:
    """Files of a trained segmenter, first round to last, the final one; UserError when there is none."""
    files = sorted(folder.glob(f"{NOUN}*.safetensors"), key=lambda path: int(path.stem.removeprefix(NOUN)))
    if not files:
        raise UserError(f"{folder} holds no {NOUN}<n>.safetensors: run train_segmenter first")
    return files


def round_path(folder: Path, number: int) -> Path:
    """File of round `number`, counted from 0."""
    return folder / f"{NOUN}{number}.safetensors"
