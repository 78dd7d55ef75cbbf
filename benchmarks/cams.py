"""Our activation maps beside grad-cam and torchcam, and beside one bare forward pass: same network, images and machine.

python -m benchmarks.cams speed                     a table of times, for random weights
python -m benchmarks.cams memory                    resident memory while 2,000 images are explained
python -m benchmarks.cams scorecam IMAGE... --model mobilenet:mobilenetv2_100_same --weights FILE
                                                    rank correlation of Score-CAM on a channel budget with the full one
Rounds are interleaved, so that a slow moment of the machine hits all contenders; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.timing import Contender
from weakseg.artifacts.formats import image_files
from weakseg.cams import explain
from weakseg.cams.view import Method, look
from weakseg.cli import named_classifier
from weakseg.data import grids, samples
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier

METHODS = ("cam", "gradcam", "gradcampp", "layercam", "hirescam", "xgradcam")
GRAD_CAM = {
    "gradcam": "GradCAM",
    "gradcampp": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "xgradcam": "XGradCAM",
}
TORCHCAM = {
    "cam": "CAM",
    "gradcam": "GradCAM",
    "gradcampp": "GradCAMpp",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
}
EXPLAINED = ("cam", "gradcampp", "eigencam")


def bare(classifier: Classifier, images: Tensor) -> Tensor:
    """One forward pass without gradient."""
    with torch.no_grad():
        return classifier(images)


def of_grad_cam(classifier: Classifier, images: Tensor, name: str) -> np.ndarray:
    """grad-cam's maps of class 0, as its documentation shows."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, name)(classifier, [classifier.blocks[-1]]) as extractor:
        return extractor(images, [ClassifierOutputTarget(0)] * len(images))


def of_torchcam(classifier: Classifier, images: Tensor, name: str) -> Tensor:
    """torchcam's maps of class 0, as its documentation shows."""
    import torchcam.methods

    layers = {"target_layer": classifier.blocks[-1]} | ({"fc_layer": classifier.head.linear} if name == "CAM" else {})
    with getattr(torchcam.methods, name)(classifier, **layers) as extractor:
        scores = classifier(images)
        return extractor([0] * len(images), scores)[0]


def load_method(name: str) -> Method:
    """A method; `cam` with the class's own weights."""
    options = {"weights": "class"} if name == "cam" else {}
    return partial(choices.load("methods", name).maps, **options)


def of_weakseg(classifier: Classifier, images: Tensor, method: Method, wanted: Tensor) -> Tensor:
    """Our maps of classes (B,K), the forward pass included."""
    return method(look(classifier, images), wanted)


def contenders(classifier: Classifier, images: Tensor, classes: int) -> dict[tuple[str, str], Contender]:
    """Every (method, who) that is timed; ours computes all classes, the libraries one."""
    wanted = torch.arange(classes).expand(len(images), -1)
    found: dict[tuple[str, str], Contender] = {("forward", "torch"): partial(bare, classifier, images)}
    for method in METHODS:
        found[method, "weakseg"] = partial(of_weakseg, classifier, images, load_method(method), wanted)
        if method in GRAD_CAM:
            found[method, "grad-cam"] = partial(of_grad_cam, classifier, images, GRAD_CAM[method])
        if method in TORCHCAM:
            found[method, "torchcam"] = partial(of_torchcam, classifier, images, TORCHCAM[method])
    return found


def speed(args: argparse.Namespace) -> None:
    """Print the table: median seconds, quartiles, and the median ratio to the bare pass and to ours."""
    torch.manual_seed(0)
    classifier = choices.load("backbones", "timm").build(args.network, args.classes, "random").eval()
    images = torch.randn(args.batch, 3, args.size, args.size)
    clock = time.process_time if args.cpu_time else time.perf_counter
    times = timing.measure(contenders(classifier, images, args.classes), args.rounds, clock)
    kind = "CPU seconds of all threads" if args.cpu_time else "seconds"
    print(
        f"{args.network}, {args.batch} images of {args.size}x{args.size}, {torch.get_num_threads()} threads,", end=" "
    )
    print(f"{args.rounds} rounds; {kind}; weakseg: all {args.classes} classes, the libraries: one class\n")
    print("| method | who | median | quartiles | / forward | / weakseg |\n|---|---|---|---|---|---|")
    for (method, who), values in times.items():
        low, middle, high = timing.quartiles(values)
        ratios = [f"{timing.ratio(values, times['forward', 'torch']):.2f}"]
        ratios.append(f"{timing.ratio(values, times[method, 'weakseg']):.2f}" if method != "forward" else "")
        print(f"| {method} | {who} | {middle:.3f} | {low:.3f}-{high:.3f} | {' | '.join(ratios)} |")


def resident() -> float:
    """Resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def memory(args: argparse.Namespace) -> None:
    """Print resident memory at every tenth of the images."""
    torch.manual_seed(0)
    classifier = choices.load("backbones", "resnet").build("small", args.classes, "random").eval()
    names = named_classifier.name_classes(args.classes)
    methods = {name: load_method(name) for name in EXPLAINED}
    plan = explain.Plan(args.size, methods, [0], "mean", [1.0], True)
    generator = np.random.default_rng(0)
    for number in range(args.images + 1):
        image = generator.integers(0, 256, (args.size, args.size, 3), dtype=np.uint8)
        explain.draw(image, explain.explain(classifier, plan, image, None), names, None)
        if number % (args.images // 10) == 0:
            print(f"{number:6d} images {resident():8.1f} MiB", flush=True)


def scorecam(args: argparse.Namespace) -> None:
    """Print the rank correlation of budgets with the full Score-CAM, and the forward passes counted."""
    from scipy.stats import spearmanr

    backbone, _, variant = args.model.rpartition(":")
    model = named_classifier.build(backbone or "timm", variant, args.weights)
    maps = partial(choices.load("methods", "scorecam").maps, chunk=args.chunk)
    calls = [0]
    model.classifier.blocks[0].register_forward_hook(
        lambda _, inputs, __: calls.__setitem__(0, calls[0] + len(inputs[0]))
    )
    found: dict[tuple[str, int], list[float]] = {}
    for path in args.image:
        image = samples.to_tensor(grids.warp(image_files.decode_pixels(path.read_bytes(), path.name), model.size))
        images = model.classifier.normalize(image[None])
        with torch.no_grad():
            classes = model.classifier(images).argmax(1, keepdim=True)
        full = maps(look(model.classifier, images), classes, channels=0, grouping="top")
        for grouping in ("top", "grouped"):
            for budget in args.budgets:
                calls[0] = 0
                one = maps(look(model.classifier, images), classes, channels=budget, grouping=grouping)
                found.setdefault((grouping, budget), []).append(spearmanr(one.flatten(), full.flatten()).statistic)
                found.setdefault(("passes", budget), []).append(calls[0])
        print(f"{path.name}: done", flush=True)
    print("\n| channels | forward passes | top: median rho (range) | grouped: median rho (range) |\n|---|---|---|---|")
    for budget in args.budgets:
        cells = [spread(found[grouping, budget]) for grouping in ("top", "grouped")]
        print(f"| {budget} | {found['passes', budget][0]} | {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Parse the arguments and run one of the three measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(required=True)
    one = parsers.add_parser("speed")
    one.add_argument("--network", default="resnet50", help="of timm, with a pooled head")
    one.add_argument("--size", type=int, default=224)
    one.add_argument("--batch", type=int, default=16)
    one.add_argument("--classes", type=int, default=37)
    one.add_argument("--rounds", type=int, default=7)
    one.add_argument("--cpu-time", action="store_true", help="CPU instead of wall time, where others use the machine")
    one.set_defaults(run=speed)
    two = parsers.add_parser("memory")
    two.add_argument("--images", type=int, default=2000)
    two.add_argument("--size", type=int, default=96)
    two.add_argument("--classes", type=int, default=37)
    two.set_defaults(run=memory)
    three = parsers.add_parser("scorecam")
    three.add_argument("image", type=Path, nargs="+")
    three.add_argument("--model", required=True, help="a network of timm, or BACKBONE:VARIANT")
    three.add_argument("--weights", default="pretrained", help="pretrained, random or a weight file")
    three.add_argument("--budgets", type=int, nargs="+", default=[16, 32, 64, 128])
    three.add_argument("--chunk", type=int, default=32)
    three.set_defaults(run=scorecam)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
