"""`weakseg crm`: how well a classifier and its reconstruction network do on the test images, without training them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

BATCH_SIZE = 32  # images
EXAMPLES = """example:
  weakseg crm --classifier models/crm/resnet.safetensors --reconstruct models/reconstruct/resnet.safetensors
"""


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser(
        "crm", help=__doc__.split(": ", 1)[1], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--classifier", type=Path, required=True, metavar="FILE", help="of models/crm, or any that weakseg saved"
    )
    parser.add_argument("--reconstruct", type=Path, required=True, metavar="FILE", help="of models/reconstruct")
    parser.add_argument(
        "--images", type=Path, default=Path("data/images"), metavar="FOLDER", help="default data/images"
    )
    parser.add_argument(
        "--labels", type=Path, default=Path("data/labels.csv"), metavar="FILE", help="default data/labels.csv"
    )
    parser.add_argument(
        "--perceptual",
        default="none",
        metavar="NAME|FILE",
        help="none (default), classifier (this one's features), or a file of VGG-19",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("crm.png"),
        metavar="FILE",
        help="sheet of five reconstructions; default crm.png",
    )


def run(args: argparse.Namespace) -> None:
    """Print a line a figure, write the sheet. UserError: files that are no pair, no held-out image, no VGG-19."""
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.data.showing import Showing
    from weakseg.evaluation import reconstruction
    from weakseg.harness.choices import Choice
    from weakseg.networks.loading import saved_classifier
    from weakseg.networks.reconstruction import fixed_features, saved_reconstructor
    from weakseg.training.crm import Data, Networks

    classifier, header = saved_classifier.load(args.classifier)
    reconstruct, facts = saved_reconstructor.load(args.reconstruct)
    saved_reconstructor.require_pair(args.reconstruct, facts, header.classes, classifier.stride)
    named: dict[str, fixed_features.Perceptual] = {"none": "none", "classifier": "classifier"}
    kind = named.get(args.perceptual, "vgg19")
    features = fixed_features.build(kind, Path(args.perceptual), float(kind != "none"), classifier)
    networks = Networks(classifier, reconstruct, Choice("methods", "maps", facts.method, facts.options), features)
    data = Data(zips.Images(args.images), load_labels(args.labels), header.classes)
    shown = Showing(facts.image_size, BATCH_SIZE, "fp32")
    scores = reconstruction.evaluate(networks, data, shown)
    zips.save_png(args.out, reconstruction.picture(networks, data, shown))
    held = data.held_out()
    print(f"{len(held)} images of split {held['split'].iloc[0]}, {facts.image_size} pixels, maps by {facts.method}")
    for name, value in scores.items():
        print(f"{name:10s} {value:.4f}{' dB' if name == 'psnr' else ''}")
    print(f"{args.out}: five of them, their reconstructions and their maps")
