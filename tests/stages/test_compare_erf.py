"""compare_erf on made-up networks: the fit by hand, the refusal under five, and the regression over images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import compare_erf
from weakseg.errors import UserError
from weakseg.evaluation.receptive_field import compare
from weakseg.harness import files, params

BACKBONES = ["resnet", "mobilenet", "convnext", "replknet", "slak"]


def section(**changes: object) -> compare_erf.Params:
    names = changes.pop("backbones", BACKBONES)
    given = {"fit": "models", "measure": "saliency_side", "resamples": 199, **changes}
    whole = {"seed": 1, "backbones": names, "compare_erf": given}
    return params.check(compare_erf.Params, "compare_erf", whole, Path("params.yaml"))


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """MaxBoxAcc is 0.1 + 0.01 x side over networks, and falls with the side over the images of each."""
    folders = {name: tmp_path / name for name in ("fields", "boxes", "areas", "overlaps")}
    generator = np.random.default_rng(0)
    for number, name in enumerate(BACKBONES):
        side = 20.0 + 10 * number
        receptive = dict.fromkeys(compare.ERF_COLUMNS, 0.1) | {"saliency_side": side, "parameters": 10**6}
        files.save_json(folders["fields"] / f"{name}.json", receptive)
        found = dict.fromkeys(compare.BOX_COLUMNS, 0.02) | {"max_box_acc": 0.1 + 0.01 * side, "images": 30}
        files.save_json(folders["boxes"] / f"{name}.json", found)
        offset = generator.normal(size=30)
        ids = [f"image{place:02d}" for place in range(30)]
        files.save_csv(
            folders["areas"] / f"{name}.csv", pd.DataFrame({"image_id": ids, "saliency_side": side + offset})
        )
        rows = {"image_id": ids[5:], "iou_label_free": 0.01 * side - 0.05 * offset[5:]}
        files.save_csv(folders["overlaps"] / f"{name}.csv", pd.DataFrame(rows))
    outputs = {"table": "table.csv", "table_picture": "table.png", "images": "images.csv", "scatter": "scatter.png"}
    return folders | {name: tmp_path / file for name, file in outputs.items()}


def test_fit_between_networks_and_over_images(paths: dict[str, Path]):
    metrics = compare_erf.main(section(), **paths)
    assert metrics["models"] == 5 and metrics["slope"] == pytest.approx(0.01)
    assert metrics["pearson"] == metrics["spearman"] == metrics["r2"] == pytest.approx(1)
    assert metrics["pearson_p"] == pytest.approx(2 / 120)
    assert metrics["images_pearson"] == pytest.approx(-1) and metrics["images"] == 125
    assert metrics["images_slope"] == pytest.approx(-0.05)
    table = pd.read_csv(paths["table"])
    assert list(table["backbone"]) == BACKBONES
    assert {"saliency_side", "max_box_acc", "accuracy", "parameters", "flops"} <= set(table)
    rows = pd.read_csv(paths["images"])
    assert list(rows["backbone"]) == BACKBONES and np.allclose(rows["slope"], -0.05) and (rows["images"] == 25).all()


def test_same_input_same_bytes(paths: dict[str, Path]):
    first = compare_erf.main(section(), **paths)
    names = ("table", "table_picture", "images", "scatter")
    written = [paths[name].read_bytes() for name in names]
    assert compare_erf.main(section(), **paths) == first
    assert [paths[name].read_bytes() for name in names] == written


def test_two_networks_are_refused_and_their_images_offered(paths: dict[str, Path]):
    with pytest.raises(UserError, match=r"at least 5 models and there are 2.*compare_erf.fit to images"):
        compare_erf.main(section(backbones=BACKBONES[:2]), **paths)
    assert not paths["table"].exists()
    metrics = compare_erf.main(section(backbones=BACKBONES[:2], fit="images"), **paths)
    assert metrics["models"] == 2 and "pearson" not in metrics and metrics["images_slope"] == pytest.approx(-0.05)


def test_networks_that_score_the_same_have_no_correlation(paths: dict[str, Path]):
    for name in BACKBONES:
        path = paths["boxes"] / f"{name}.json"
        files.save_json(path, files.load_json(path) | {"max_box_acc": 0.5})
    assert "pearson" not in compare_erf.main(section(), **paths)


def test_few_common_images(paths: dict[str, Path]):
    for name in BACKBONES:
        path = paths["overlaps"] / f"{name}.csv"
        files.save_csv(path, pd.read_csv(path).iloc[:0])
    metrics = compare_erf.main(section(), **paths)
    assert metrics["images"] == 0 and "images_pearson" not in metrics


def test_bad_input(paths: dict[str, Path]):
    with pytest.raises(UserError, match=r"compare_erf.measure is 'kernel'"):
        compare_erf.main(section(measure="kernel"), **paths)
    (paths["fields"] / "slak.json").unlink()
    with pytest.raises(UserError, match=r"slak.json does not exist"):
        compare_erf.main(section(), **paths)
