"""A checkpoint and a data set for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.networks import INPUT_PX, detector, write_labelled_images
from tinydet.training.checkpoint import save_detector


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.safetensors"
    save_detector(path, detector(), input_px=INPUT_PX, training={})
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images in each of train and val, one object in each."""
    return write_labelled_images(tmp_path_factory.mktemp("dataset"), train=1, val=2)
