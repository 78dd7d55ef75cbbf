"""Weight files: what is read, what is refused, and errors that name the keys."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from weakseg.errors import UserError
from weakseg.networks.loading import checkpoints

STATE = {"0.weight": torch.ones(4, 3), "1.weight": torch.ones(2, 4)}


def network(classes: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, classes, bias=False))


class Evil:
    """A pickle that runs code when it is read."""

    def __reduce__(self) -> tuple:
        return print, ("code was run",)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": STATE, "optimizer": {"lr": 0.1}, "args": argparse.Namespace(lr=0.1)},
        {"state_dict": STATE, "epoch": 3},
        {"model": {"state_dict": STATE}},
        {f"module.{key}": value for key, value in STATE.items()},
        {"model_state_dict": STATE, "model": "resnet18"},
        {"state_dict": {f"model.{key}": value for key, value in STATE.items()}},
        {f"module.model.{key}": value for key, value in STATE.items()},
    ],
    ids=["bare", "model", "state_dict", "both", "parallel", "model_state_dict", "member", "parallel member"],
)
def test_wrappings_of_a_torch_file(content: dict, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    state = checkpoints.read(tmp_path / "weights.pth")
    assert state.keys() == STATE.keys() and torch.equal(state["0.weight"], STATE["0.weight"])


def test_safetensors_file(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.safetensors")
    module = network()
    checkpoints.load(module, str(tmp_path / "weights.safetensors"), ("1.",))
    assert all(torch.equal(value, STATE[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04garbage", b"PK\x03\x04 not a zip", b"\xff" * 64, b"\x80\x02.", b"\x80\x02]q\x00(0000."],
    ids=["empty", "pickle", "zip", "header", "no object", "stack"],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_file(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is no safe weight file|holds no network weights"):
        checkpoints.read(path)


def test_truncated_files(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.safetensors")
    torch.save(STATE, tmp_path / "weights.pth")
    for path in (tmp_path / "weights.safetensors", tmp_path / "weights.pth"):
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(UserError, match="is no safe weight file"):
            checkpoints.read(path)


def test_no_code_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": STATE, "args": Evil()}, tmp_path / "zip.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"model": Evil()}))
    for name in ("zip.pth", "old.pth"):
        with pytest.raises(UserError, match="is no safe weight file"):
            checkpoints.read(tmp_path / name)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {},
        [torch.ones(1)],
        torch.ones(1),
        {"model": {}},
        {"weight": 1.0},
        {3: torch.ones(1)},
        {"weight": torch.ones(1).expand(10**12)},
        {"weight": torch.ones(2, 2).to_sparse()},
        {"weight": torch.empty(2, 2, device="meta")},
    ],
    ids=["empty", "list", "tensor", "empty model", "number", "unnamed", "expanded", "sparse", "meta"],
)
def test_file_without_plain_named_tensors(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="holds no network weights"):
        checkpoints.read(tmp_path / "weights.pth")


def test_a_dictionary_that_contains_itself(tmp_path: Path) -> None:
    content: dict = {}
    content["model"] = content
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="holds no network weights"):
        checkpoints.read(tmp_path / "weights.pth")


def test_missing_file() -> None:
    with pytest.raises(UserError, match="does not exist: give 'random', 'pretrained' or the path of a file"):
        checkpoints.read("no/such/file.safetensors")


def test_head_of_another_number_of_classes_is_left_as_it_was(tmp_path: Path) -> None:
    module = network(5)
    before = module[1].weight.detach().clone()
    checkpoints.fit(module, STATE, ("1.",), "file")
    assert torch.equal(module[1].weight, before) and torch.equal(module[0].weight, STATE["0.weight"])


def test_other_network_names_the_keys() -> None:
    state = {"0.weight": torch.ones(4, 4), **{f"2.{name}": torch.ones(1) for name in "abcd"}}
    with pytest.raises(UserError) as caught:
        checkpoints.fit(network(), state, ("1.",), "some.pth")
    assert "missing keys 1 (1.weight), unexpected keys 4 (2.a, 2.b, 2.c, ...)" in str(caught.value)
    assert "other shapes 1 (0.weight); `weakseg inspect some.pth`" in str(caught.value)


def test_head_of_other_width_is_another_network() -> None:
    with pytest.raises(UserError, match=r"other shapes 1 \(1.weight\)"):
        checkpoints.fit(network(), {**STATE, "1.weight": torch.ones(2, 5)}, ("1.",), "file")


def test_values_that_are_not_finite() -> None:
    broken = {**STATE, "0.weight": torch.full((4, 3), torch.nan)}
    with pytest.raises(UserError, match=r"not finite in 1 \(0.weight\)"):
        checkpoints.fit(network(), broken, ("1.",), "file")


def test_rename_takes_the_first_rule_that_matches() -> None:
    rules = ((r"^a\.", "x."), (r"^a\.b", "never"), (r"(\d+)$", lambda found: str(int(found[1]) + 1)))
    assert list(checkpoints.rename({"a.b": torch.ones(1), "c.9": torch.ones(1), "d": torch.ones(1)}, rules)) == [
        "x.b",
        "c.10",
        "d",
    ]
