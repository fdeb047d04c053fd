from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.models import SPOT_METADATA, write_spot_detector
from tinydet.edge.detection.detector import Detector
from tinydet.edge.runtimes.opening import open_runtime


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_spot_detector(tmp_path / "spots.onnx")


def test_finds_a_spot_where_it_is_in_the_source_image(artifact: Path) -> None:
    """192x128 fits 64x64 at a third with 10.67 -> 11 px above: the spot covers one cell of 4 px."""
    image = np.zeros((192, 192, 3), np.uint8)
    image[60:72, 96:108] = 255
    detections = Detector(artifact).detect(image)
    assert detections.class_ids.tolist() == [0]
    assert detections.boxes_xyxy_px.tolist() == [[90, 54, 114, 78]]
    assert detections.scores[0] == pytest.approx(1 / (1 + np.exp(-5.5)), abs=1e-6)


def test_thresholds_are_the_models_own_or_those_given(artifact: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:12, 8:12] = 190  # logit -1, score 0.27
    assert Detector(artifact).score_threshold == SPOT_METADATA.score_threshold
    assert len(Detector(artifact).detect(image)) == 0
    assert len(Detector(artifact, score_threshold=0.2).detect(image)) == 1


def test_neighbours_are_suppressed_by_the_threshold_given(artifact: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:12, 8:16] = 255  # two cells whose boxes overlap with IoU 1/3
    assert len(Detector(artifact).detect(image)) == 2
    assert len(Detector(artifact, nms_iou_threshold=0.3).detect(image)) == 1
    assert len(Detector(artifact, max_detections=1).detect(image)) == 1


def test_boxes_are_clipped_to_the_image(artifact: Path) -> None:
    detections = Detector(artifact).detect(np.full((64, 64, 3), 255, np.uint8))
    assert (detections.boxes_xyxy_px.min(), detections.boxes_xyxy_px.max()) == (0, 64)


def test_stages_are_timed(artifact: Path) -> None:
    detections, times = Detector(artifact).detect_timed(np.zeros((64, 64, 3), np.uint8))
    assert len(detections) == 0
    assert min(times.pre_ms, times.infer_ms, times.post_ms) > 0
    assert times.total_ms == pytest.approx(times.pre_ms + times.infer_ms + times.post_ms)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_other_images_are_refused(artifact: Path, image: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\) RGB, got"):
        Detector(artifact).detect(image)


@pytest.mark.parametrize(
    "setting",
    [{"score_threshold": 1.5}, {"nms_iou_threshold": -1.0}, {"max_detections": 0}],
    ids=lambda s: next(iter(s)),
)
def test_a_setting_out_of_range_is_named(artifact: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        Detector(artifact, **setting)


def test_threads_of_an_open_runtime_cannot_be_chosen(artifact: Path) -> None:
    with open_runtime(artifact) as runtime, pytest.raises(ValueError, match="threads and device have no effect"):
        Detector(runtime, threads=1)
