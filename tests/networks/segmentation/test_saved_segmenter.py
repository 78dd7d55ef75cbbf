"""The header of a saved segmenter, and what a user can hand in instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world_networks import color_segmenter, save_classifier
from weakseg.errors import UserError
from weakseg.networks.segmentation import saved_segmenter


def test_the_header_is_read_without_building_the_network(tmp_path: Path):
    """The drawn segmenter's file names a builder that does not exist."""
    network, header = color_segmenter()
    saved_segmenter.save(tmp_path / "round0.safetensors", network, header)
    assert saved_segmenter.header(tmp_path / "round0.safetensors") == header


def test_a_classifier_or_any_other_file_is_no_segmenter(tmp_path: Path):
    save_classifier(tmp_path / "classifier.safetensors")
    (tmp_path / "notes.txt").write_text("no network")
    with pytest.raises(UserError, match="holds no segmenter: give a file that train_segmenter wrote"):
        saved_segmenter.header(tmp_path / "classifier.safetensors")
    with pytest.raises(UserError, match="no network that weakseg saved"):
        saved_segmenter.header(tmp_path / "notes.txt")
