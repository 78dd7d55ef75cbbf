"""Weight files: none, safetensors, torch files, checksums, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.raw_archives import served
from weakseg.errors import UserError
from weakseg.networks.weight_files import fetch_weights

STATE = {"features.0.weight": torch.arange(6.0).reshape(2, 3), "classifier.bias": torch.ones(2)}


def test_none_is_a_file_without_tensors(tmp_path: Path) -> None:
    assert fetch_weights.bring("none", tmp_path / "cache", tmp_path / "out.safetensors") == 0
    assert load_file(tmp_path / "out.safetensors") == {}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["in.pth", "in.safetensors"])
def test_path_of_either_format(tmp_path: Path, name: str) -> None:
    if name.endswith("pth"):
        torch.save({"state_dict": STATE}, tmp_path / name)
    else:
        save_file(STATE, tmp_path / name, metadata={"weakseg": '{"backbone": "resnet"}'})
    out = tmp_path / "out.safetensors"
    assert fetch_weights.bring(str(tmp_path / name), tmp_path / "cache", out) == 2
    loaded = load_file(out)
    assert set(loaded) == set(STATE) and all(torch.equal(loaded[key], STATE[key]) for key in STATE)
    with safe_open(out, framework="pt") as file:
        assert file.metadata() == {"weakseg": '{"backbone": "resnet"}' if name.endswith("s") else "{}"}
    assert list((tmp_path / "cache").iterdir()) == []


def test_prefix(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "in.pth")
    out = tmp_path / "out.safetensors"
    assert fetch_weights.bring(str(tmp_path / "in.pth"), tmp_path / "cache", out, prefix="features.") == 1
    with pytest.raises(UserError, match=r"has no weights whose names begin with 'layers\.'"):
        fetch_weights.bring(str(tmp_path / "in.pth"), tmp_path / "cache", out, prefix="layers.")
    assert set(load_file(out)) == {"features.0.weight"}


def test_address_with_checksum(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "in.safetensors")
    content = (tmp_path / "in.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    out = tmp_path / "out.safetensors"
    with served({"/w/in.safetensors": content}) as server:
        address = f"{server.address}/w/in.safetensors"
        assert fetch_weights.bring(f"{address}#sha256={digest[:12]}", tmp_path / "cache", out) == 2
        with pytest.raises(UserError, match="not sha256:0000"):
            fetch_weights.bring(f"{address}#sha256=0000", tmp_path / "cache", out)


def test_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    (tmp_path / "bad.safetensors").write_bytes(b"\x08" + bytes(7) + b"no json!")
    torch.save({"code": Path("x")}, tmp_path / "code.pth")
    for name in ("bad.safetensors", "code.pth"):
        with pytest.raises(UserError, match="is no safe weight file"):
            fetch_weights.bring(str(tmp_path / name), tmp_path / "cache", out)
    with pytest.raises(UserError, match=r"absent.pth does not exist"):
        fetch_weights.bring(str(tmp_path / "absent.pth"), tmp_path / "cache", out)
    assert not out.exists()


def header_of(path: Path) -> dict[str, object]:
    """What the kept file says beside its tensors."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["weakseg"])


def test_class_names_travel_with_the_weights(tmp_path: Path) -> None:
    torch.save({"model": STATE, "class_to_idx": {"b": 0, "a": 1}}, tmp_path / "in.pth")
    out = tmp_path / "out.safetensors"
    fetch_weights.bring(str(tmp_path / "in.pth"), tmp_path / "cache", out)
    assert header_of(out) == {"classes": ["b", "a"]}
    fetch_weights.bring(str(tmp_path / "in.pth"), tmp_path / "cache", out, classes=["c", "d"])
    assert header_of(out) == {"classes": ["c", "d"], "classes_given": True}
    fetch_weights.bring("pretrained", tmp_path / "cache", out, classes=["c", "d"])
    assert header_of(out) == {"weights": "pretrained", "classes": ["c", "d"], "classes_given": True}


def test_a_class_list_of_a_path_or_an_address(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("b\na\n")
    assert fetch_weights.bring_class_list(None, tmp_path / "cache") is None
    assert fetch_weights.bring_class_list(str(tmp_path / "names.txt"), tmp_path / "cache") == ["b", "a"]
    with served({"/w/names.txt": b"c\nd\n"}) as server:
        assert fetch_weights.bring_class_list(f"{server.address}/w/names.txt", tmp_path / "cache") == ["c", "d"]
    assert list((tmp_path / "cache").iterdir()) == []
