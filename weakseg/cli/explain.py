"""`weakseg explain`: pictures of what a classifier sees in images, by one or several methods."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weakseg.errors import UserError
from weakseg.harness import choices

if TYPE_CHECKING:
    from weakseg.cams.explain import Explanation
    from weakseg.cams.view import Method
    from weakseg.cli.named_classifier import NamedClassifier

Item = tuple[str, bytes, str | None]
CLASSIFIERS = Path("models/classifier")
EXAMPLES = """examples:
  weakseg explain --image cat.jpg --method cam,gradcampp,layercam
  weakseg explain --split test --random 8 --seed 1 --class Bengal
  weakseg explain --image cat.jpg --model resnet50 --weights pretrained --class "tabby"
"""


def parse_numbers(kind: type) -> Any:
    """Parser of a list such as 0,-1 or 1,0.5."""

    def parse(text: str) -> list:
        return [kind(part) for part in text.split(",")]

    parse.__name__ = f"comma-separated {kind.__name__}"
    return parse


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser(
        "explain", help=__doc__.split(": ", 1)[1], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, nargs="+", metavar="FILE", help="image files")
    parser.add_argument("--split", choices=("train", "val", "test", "unlabeled"), help="images of the prepared data")
    parser.add_argument("--index", type=int, metavar="I", help="the I-th image of the split, from 0")
    parser.add_argument("--random", type=int, metavar="N", help="N random images of the split")
    parser.add_argument("--seed", type=int, default=0, help="of --random; default 0")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="prepared data; default data")
    parser.add_argument("--class", dest="wanted", metavar="NAME|ID", help="class to explain; default the prediction")
    parser.add_argument(
        "--method", default="gradcampp", metavar="A,B,C", help=f"of {', '.join(choices.names('methods'))}"
    )
    parser.add_argument(
        "--model",
        help="a file train_classifier wrote (default: the one in models/classifier), a network of timm, or"
        " BACKBONE:VARIANT",
    )
    parser.add_argument(
        "--weights", default="pretrained", help="of a network by name: pretrained (default), random or a weight file"
    )
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="names of a network's classes, one a line, in its head's order"
    )
    parser.add_argument("--size", type=int, metavar="PIXELS", help="images are warped to a square; default the model's")
    parser.add_argument(
        "--levels",
        type=parse_numbers(int),
        default=[0],
        metavar="L,M",
        help="layers to fuse; 0 the last (default), -1 before",
    )
    parser.add_argument("--fusion", choices=("mean", "max"), default="mean", help="of several layers; default mean")
    parser.add_argument(
        "--scales", type=parse_numbers(float), default=[1.0], metavar="S,T", help="scales to average; default 1"
    )
    parser.add_argument("--flip", action="store_true", help="average over the mirror image too")
    parser.add_argument("--channels", type=int, default=64, help="budget of scorecam; 0 all; default 64")
    parser.add_argument("--out", type=Path, default=Path("explain"), metavar="DIR", help="default explain")


def run(args: argparse.Namespace) -> None:
    """Write one figure an image and print one line for each. UserError: see the checks below."""
    methods = {name: load_method(name, args.channels) for name in args.method.split(",")}
    chosen = list_items(args)
    from weakseg.artifacts.formats import image_files, zips
    from weakseg.cams import explain
    from weakseg.cli import named_classifier
    from weakseg.harness import device
    from weakseg.networks import levels

    model = find_model(args.model, args.weights, args.classes)
    levels.require_finite(model.classifier)
    for level in args.levels:
        levels.count_blocks(model.classifier, level)
    model.classifier.to(device.pick())
    wanted = None if args.wanted is None else named_classifier.find_class(args.wanted, model.names)
    plan = explain.Plan(args.size or model.size, methods, args.levels, args.fusion, args.scales, args.flip)
    for name, content, label in chosen:
        picture = image_files.decode(content, name)
        found = explain.explain(model.classifier, plan, picture.pixels, wanted)
        path = args.out / f"{name.replace('/', '_')}.png"
        zips.save_png(path, explain.draw(picture.pixels, found, model.names, label))
        print(f"{path}: {summarize(found, model.names, label)}")
        for note in picture.notes:
            print(f"{path}: {note}")


def summarize(found: Explanation, names: list[str], label: str | None) -> str:
    """One line: the three most probable classes, the explained one, the true one where it is known."""
    best = [f"{names[k]} {found.probabilities[k]:.3f}" for k in found.probabilities.argsort()[:-4:-1]]
    return f"{', '.join(best)}; map of {names[found.explained]}" + (f"; true {label}" if label else "")


def load_method(name: str, channels: int) -> Method:
    """A method of weakseg/cams with the options this command offers; UserError lists the methods there are."""
    options: dict[str, dict[str, Any]] = {
        "cam": {"weights": "class"},
        "pc1": {"weights": "class"},
        "scorecam": {"channels": channels, "grouping": "top", "chunk": 16},
    }
    return partial(choices.load("methods", name).maps, **options.get(name, {}))


def list_items(args: argparse.Namespace) -> Iterator[Item]:
    """Name, bytes and true label of each image; UserError where the arguments name none or ask for both kinds."""
    if bool(args.image) == bool(args.split):
        raise UserError("which images? give --image FILE..., or --split with --index or --random")
    if args.image:
        return read_files(args.image)
    if (args.index is None) == (args.random is None):
        raise UserError("which images of the split? give --index I or --random N")
    return read_split(args)


def read_files(paths: list[Path]) -> Iterator[Item]:
    """Images by path; the label is unknown. UserError before any work where a file is absent."""
    absent = [path for path in paths if not path.is_file()]
    if absent:
        raise UserError(f"image {absent[0]} does not exist")
    stems = [path.stem for path in paths]
    names = [stem if stems.count(stem) == 1 else f"{stem}_{number}" for number, stem in enumerate(stems)]
    return ((name, path.read_bytes(), None) for name, path in zip(names, paths, strict=True))


def read_split(args: argparse.Namespace) -> Iterator[Item]:
    """Images of a split of the prepared data, with their labels."""
    import random

    from weakseg.artifacts.formats import labels, zips

    frame, archive = labels.load_labels(args.data / "labels.csv"), zips.Images(args.data / "images")
    ids = list(frame.index[frame["split"] == args.split])
    if not ids:
        raise UserError(f"split '{args.split}' has no image: use {', '.join(sorted(set(frame['split'])))}")
    if args.index is not None and not 0 <= args.index < len(ids):
        raise UserError(f"--index is {args.index}: the {args.split} split has images 0 to {len(ids) - 1}")
    if args.random is not None:
        chosen = sorted(random.Random(args.seed).sample(ids, min(args.random, len(ids))))
    else:
        chosen = [ids[args.index]]
    return ((name, archive.read(name), ", ".join(frame.at[name, "labels"]) or None) for name in chosen)


def find_model(given: str | None, weights: str, classes: Path | None) -> NamedClassifier:
    """The model that --model names; without it the one classifier the pipeline trained. UserError: none, or several."""
    from weakseg.cli import named_classifier
    from weakseg.networks.weight_files.class_lists import load_class_list

    if given is None:
        files = sorted(CLASSIFIERS.glob("*.safetensors"))
        if len(files) != 1:
            found = f"has {', '.join(file.name for file in files)}" if files else "has no classifier"
            raise UserError(f"which model? {CLASSIFIERS} {found}: give --model FILE or a network of timm")
        given = str(files[0])
    if Path(given).suffix == ".safetensors" or Path(given).is_file():
        if classes is not None:
            raise UserError(f"{given} names its classes itself: give --classes with a network by name and --weights")
        return named_classifier.load(Path(given))
    backbone, _, variant = given.rpartition(":")
    return named_classifier.build(
        backbone or "timm", variant, weights, None if classes is None else load_class_list(classes)
    )
