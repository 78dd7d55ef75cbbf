"""The answer: relations that were planted are found, in all scopes, and what cannot be compared is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.kernels import answer, figure
from studies.kernels import plan as plans
from tests.closure import ROOT
from weakseg.errors import UserError

PLAN = plans.load(ROOT / "studies/kernels/params.yaml").model_copy(update={"resamples": 200})


def planted() -> pd.DataFrame:
    """Fields that grow with the kernel; CAM boxes grow with the kernel but shrink inside each; PC1 boxes ignore it."""
    generator, rows = np.random.default_rng(0), []
    for network in plans.list_networks(PLAN):
        place, inner = PLAN.kernels.index(network.kernel), generator.uniform(-0.02, 0.02)
        row = {"network": network.name, "kernel": network.kernel, "shape": network.shape, "seed": network.seed}
        row |= dict.fromkeys(PLAN.measures, 0.1 + 0.1 * place + inner)
        row |= {"cam_max_box_acc": 0.3 + 0.08 * place - inner, "pc1_max_box_acc": generator.uniform(0.4, 0.6)}
        row |= {"distilled_max_box_acc": 0.9, "accuracy": 0.95 + 0.2 * inner, "center_max_box_acc": 0.4}
        rows.append(row)
    return pd.DataFrame(rows)


def test_planted_relations_are_found() -> None:
    found = pd.DataFrame(answer.relate(planted(), PLAN)).set_index(["map", "measure", "scope"]).sort_index()
    cam = found.loc["cam", "central_area_50"]
    assert cam.at["pooled", "r"] > 0.95 and cam.at["between", "r"] > 0.99 and cam.at["within", "r"] < -0.99
    assert (cam.at["pooled", "n"], cam.at["within", "n"], cam.at["between", "n"]) == (42, 42, 7)
    assert cam.at["within", "slope"] == pytest.approx(-1) and cam.at["pooled", "r_p"] < 0.01
    none = found.loc[("pc1", "central_area_50", "pooled")]
    assert none["r_low"] < 0 < none["r_high"]
    assert "distilled" not in found.index.get_level_values("map")  # constant: no correlation is defined
    assert ("accuracy", "accuracy", "pooled") not in found.index


def test_the_same_bytes_again(tmp_path: Path) -> None:
    planted().to_csv(tmp_path / "table.csv", index=False)
    flags = ["--plan", str(ROOT / "studies/kernels/params.yaml"), "--table", str(tmp_path / "table.csv")]
    contents = []
    for name in ("one", "two"):
        out, picture = tmp_path / f"{name}.csv", tmp_path / f"{name}.png"
        assert answer.main([*flags, "--out", str(out), "--picture", str(picture)]) == 0
        contents.append((out.read_bytes(), picture.read_bytes()))
    assert contents[0] == contents[1] and contents[0][1].startswith(b"\x89PNG")


def test_a_network_without_a_field_is_refused(tmp_path: Path) -> None:
    table = planted()
    table.loc[3, "saliency_share"] = 0.0
    table.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(UserError, match="network k5_cross_seed0 has no saliency_share: measure it again"):
        answer.load_table(tmp_path / "table.csv", PLAN)


def test_under_five_networks_are_refused() -> None:
    with pytest.raises(UserError, match="at least 5 points and there are 4"):
        list(answer.relate(planted()[:4], PLAN))


def test_kernels_have_colors_of_their_own() -> None:
    colors = figure.color_kernels(planted()["kernel"])
    assert list(colors) == PLAN.kernels and len(set(colors.values())) == len(PLAN.kernels)


def test_the_committed_relations_are_those_of_the_committed_networks() -> None:
    plan = plans.load(ROOT / "studies/kernels/params.yaml")
    table, relations = answer.load_table(ROOT / "docs/study.csv", plan), pd.read_csv(ROOT / "docs/study_relations.csv")
    assert list(table["network"]) == [network.name for network in plans.list_networks(plan)]
    pd.testing.assert_frame_equal(pd.DataFrame(answer.relate(table, plan)), relations, rtol=1e-6)


def test_the_page_says_what_was_measured() -> None:
    """Its table of kernels, and the relations with the figure's measure."""
    page, plan = (ROOT / "docs/study.md").read_text(), plans.load(ROOT / "studies/kernels/params.yaml")
    table, relations = answer.load_table(ROOT / "docs/study.csv", plan), pd.read_csv(ROOT / "docs/study_relations.csv")
    columns = [plan.measures[0], "accuracy", *(f"{kind}_max_box_acc" for kind in plan.maps)]
    for kernel, row in table.groupby("kernel")[columns].mean().iterrows():
        assert f"| {kernel} | {' | '.join(short(value, 3) for value in row)} |" in page
    for kind, one in relations.query("measure == @plan.measures[0] and scope == 'pooled'").set_index("map").iterrows():
        line = f"{short(one['r'])} [{short(one['r_low'])}, {short(one['r_high'])}], {short(one['r2'])}"
        assert line in page, kind


def short(value: float, digits: int = 2) -> str:
    """A fraction without its leading zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)
