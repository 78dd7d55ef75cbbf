"""Names of classes, and a class by its name."""

from __future__ import annotations

import pytest
import timm
import torch

from weakseg.cli import named_classifier
from weakseg.errors import UserError


def test_imagenet_names():
    names = named_classifier.name_classes(1000)
    assert len(names) == 1000 and names[281] == "tabby"
    assert named_classifier.name_classes(3) == ["class 0", "class 1", "class 2"]


def test_a_network_by_name_with_its_own_size():
    model = named_classifier.build("timm", "resnet10t", "random")
    assert len(model.names) == 1000 and model.size == 176
    assert not model.classifier.training


def test_a_class_by_name_number_or_neither():
    names = ["beagle", "bengal", "pug"]
    assert [named_classifier.find_class(given, names) for given in ("bengal", "2")] == [1, 2]
    with pytest.raises(UserError, match="did you mean bengal, beagle"):
        named_classifier.find_class("Begal", names)
    with pytest.raises(UserError, match="for example beagle, bengal, pug"):
        named_classifier.find_class("3", names)


def test_names_of_a_file_and_names_that_are_listed(tmp_path):
    state = timm.create_model("test_resnet", num_classes=2).state_dict()
    torch.save({"model_state_dict": state, "classes": ["pug", "beagle"]}, tmp_path / "file.pth")
    weights = str(tmp_path / "file.pth")
    assert named_classifier.build("timm", "test_resnet", weights).names == ["pug", "beagle"]
    assert named_classifier.build("timm", "test_resnet", weights, ["a", "b"]).names == ["a", "b"]
    with pytest.raises(UserError, match="the list names 3 classes, but the head has 2: give a line for each row"):
        named_classifier.build("timm", "test_resnet", weights, ["a", "b", "c"])
