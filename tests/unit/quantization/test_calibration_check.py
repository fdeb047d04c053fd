"""Warnings about calibration images that look wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.files.images import read_image, write_image
from tinydet.quantization.calibration import CalibrationImages, find_calibration_images
from tinydet.quantization.calibration_check import COLOUR_LIMIT, check_calibration_images, logit_rise_when_swapped
from tinydet.training.checkpoint import load_detector
from tinydet.training.data.scenes import write_dataset
from tinydet.training.model import TinyDetector
from tinydet.training.weights import n_path

INPUT_HW = (384, 384)


@pytest.fixture(scope="module")
def trained() -> TinyDetector:
    return load_detector(n_path()).model


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> CalibrationImages:
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, images=4, seed=7003, size_hw=INPUT_HW, split="train")
    return find_calibration_images(folder)


def written(folder: Path, images: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> CalibrationImages:
    for index, image in enumerate(images):
        write_image(folder / f"{index}.png", image)
    return find_calibration_images(folder)


def test_swapped_colours_are_warned_about(
    trained: TinyDetector, scenes: CalibrationImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    swapped = written(tmp_path, [np.ascontiguousarray(read_image(path)[..., ::-1]) for path in scenes.paths])
    assert logit_rise_when_swapped(trained, swapped, INPUT_HW) > COLOUR_LIMIT
    caplog.clear()  # of the warning that four images are few
    check_calibration_images(trained, swapped, INPUT_HW)
    (record,) = caplog.records
    assert "red and blue look swapped" in record.getMessage()


def test_right_and_grey_images_are_not_warned_about(
    trained: TinyDetector, scenes: CalibrationImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grey = written(tmp_path, [read_image(path)[..., 1:2].repeat(3, axis=2) for path in scenes.paths])
    caplog.clear()
    for images in (scenes, grey):
        assert logit_rise_when_swapped(trained, images, INPUT_HW) == 0
        check_calibration_images(trained, images, INPUT_HW)
    assert not caplog.records


def test_thumbnails_are_warned_about(trained: TinyDetector, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = written(tmp_path, [np.full((64, 48, 3), 90, np.uint8), np.full((400, 300, 3), 90, np.uint8)])
    caplog.clear()
    check_calibration_images(trained, images, INPUT_HW)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "1 of 2 calibration images are very different in size from the input (384x384 px), such as 0.png, which is "
        "scaled by 6:"
    )
