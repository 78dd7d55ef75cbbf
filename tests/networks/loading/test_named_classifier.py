"""Names of classes, and a class by its name."""

from __future__ import annotations

import pytest

from weakseg.errors import UserError
from weakseg.networks.loading import named_classifier


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
