"""The choice of a calibration method by score."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.networks import calibrated, detector, images
from tinydet.quantization.calibration import CalibrationImages
from tinydet.quantization.calibration_methods import compare_methods
from tinydet.quantization.ptq import Calibration
from tinydet.quantization.ranges import METHODS


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrated(detector(), images(2, seed=2, size_px=64))


@pytest.mark.parametrize(("scores", "kept"), [((0.500, 0.504, 0.490), METHODS[0]), ((0.500, 0.504, 0.507), METHODS[2])])
def test_the_first_is_kept_unless_another_is_clearly_ahead(
    calibration: Calibration, scores: tuple[float, ...], kept: str
) -> None:
    given = dict(zip(METHODS, scores, strict=True))
    network, found = compare_methods(
        calibration,
        CalibrationImages(paths=(Path("a.png"),), sha256="1" * 64),
        lambda candidate: given[candidate.calibration["ranges"]],
        margin=0.005,
    )
    assert network.calibration["ranges"] == kept
    assert found == given
