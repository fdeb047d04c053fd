from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models import SPOT_METADATA, write_spot_detector
from tests.tflite_models import write_spot_tflite
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.slicing import SlicedDetector
from tinydet.edge.errors import InputError
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
    ("image", "got"),
    [
        (np.zeros((64, 64), np.uint8), r"uint8 \(64, 64\) from a ndarray"),
        (np.zeros((64, 64, 4), np.uint8), r"uint8 \(64, 64, 4\)"),
        (np.zeros((64, 64, 3), np.float32), r"float32 \(64, 64, 3\)"),
        (np.zeros((0, 64, 3), np.uint8), r"uint8 \(0, 64, 3\)"),
        ([[[0, 0, 0]]], r"int64 \(1, 1, 3\) from a list"),
        ([[0], [0, 0]], "a list: "),
        ("frame.jpg", r"<U9 \(\) from a str; read_image reads files"),
        (Path("frame.jpg"), r"object \(\) from a PosixPath"),
        (None, r"object \(\) from a NoneType"),
        (Image.new("RGBA", (64, 64)), r"uint8 \(64, 64, 4\) from a Image"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [Detector, lambda path: SlicedDetector(Detector(path))], ids=["whole", "sliced"])
def test_other_images_are_refused(kind: Callable[[Path], Detector], artifact: Path, image: Any, got: str) -> None:
    detector = kind(artifact)
    for call in (detector.detect, detector.submit):
        with pytest.raises(InputError, match=rf"expected uint8 \(H, W, 3\) RGB, got {got}"):
            call(image)


def test_an_image_of_pillow_is_an_image(artifact: Path) -> None:
    array = np.zeros((80, 120, 3), np.uint8)
    array[20:50, 40:70] = (255, 0, 0)
    expected, found = Detector(artifact).detect(array), Detector(artifact).detect(Image.fromarray(array))  # type: ignore[arg-type]
    assert len(found) > 0
    assert found.boxes_xyxy_px.tolist() == expected.boxes_xyxy_px.tolist()


@pytest.mark.parametrize("ending", ["onnx", "tflite"])
@pytest.mark.parametrize("side", [64, 200], ids=["one tile", "tiles"])
def test_many_threads_may_detect_at_once(tmp_path: Path, ending: str, side: int) -> None:
    """Images of different shapes: one that is placed as another one shows in the boxes."""
    write = write_spot_detector if ending == "onnx" else write_spot_tflite
    detector = SlicedDetector(Detector(write(tmp_path / f"spots.{ending}"), threads=1))
    images = [np.zeros((side - 2 * index, side, 3), np.uint8) for index in range(12)]
    for index, image in enumerate(images):
        image[side // 4 : side // 2, index * side // 16 : index * side // 16 + side // 4] = 255
    for detect in (detector.detector.detect, detector.detect):
        alone = [detect(image).boxes_xyxy_px.tolist() for image in images]
        assert len({str(boxes) for boxes in alone}) > 6
        with ThreadPoolExecutor(8) as threads:
            for _ in range(20):
                assert [found.boxes_xyxy_px.tolist() for found in threads.map(detect, images)] == alone


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
