"""What a detection is made of, piece by piece: letterbox, each runtime, decoding, NMS, and the pipeline of it all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import INPUT_PX, OBJECTS, STRIDES, Artifacts
from tinydet.edge.detection.decoding import decode
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.letterbox import Letterboxed, letterbox
from tinydet.edge.detection.nms import nms
from tinydet.edge.evaluation.evaluate import SCORE_THRESHOLD
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.sources.opening import open_source
from tinydet.edge.stream.pipeline import Pipeline

FLYING_THRESHOLD, NMS_IOU_THRESHOLD, MAX_DETECTIONS = 0.3, 0.6, 1500
THREADS = 1
FRAMES = 30


@pytest.mark.parametrize("source_wh", [(1280, 720), (1920, 1080), (3840, 2160), (4000, 3000)], ids=str)
def test_letterbox(benchmark: BenchmarkFixture, source_wh: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (source_wh[1], source_wh[0], 3)).astype(np.uint8)
    assert benchmark(letterbox, image, (INPUT_PX, INPUT_PX)).image.shape == (INPUT_PX, INPUT_PX, 3)


@pytest.mark.parametrize("precision", ["floats", "int8"])
@pytest.mark.parametrize("made_for", ["artifacts", "openvino_artifacts", "tflite_artifacts"])
def test_runtime(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    letterboxed: Letterboxed,
    made_for: str,
    precision: str,
) -> None:
    """One image through each, on one thread."""
    made: Artifacts = request.getfixturevalue(made_for)
    with open_runtime(getattr(made, precision), threads=THREADS) as runtime:
        outputs = benchmark(runtime.infer, letterboxed.image[np.newaxis])
        benchmark.extra_info |= {"runtime": runtime.name, "provider": runtime.provider}
    assert len(outputs) == 2 * len(STRIDES)


@pytest.mark.parametrize("score_threshold", [FLYING_THRESHOLD, SCORE_THRESHOLD])
def test_decode(
    benchmark: BenchmarkFixture, raw_outputs: list[npt.NDArray[np.float32]], score_threshold: float
) -> None:
    candidates = benchmark(decode, raw_outputs, strides=STRIDES, score_threshold=score_threshold)
    assert len(candidates) > OBJECTS


@pytest.mark.parametrize("score_threshold", [FLYING_THRESHOLD, SCORE_THRESHOLD])
def test_nms(benchmark: BenchmarkFixture, raw_outputs: list[npt.NDArray[np.float32]], score_threshold: float) -> None:
    candidates = decode(raw_outputs, strides=STRIDES, score_threshold=score_threshold)
    kept = benchmark(nms, candidates, iou_threshold=NMS_IOU_THRESHOLD, max_detections=MAX_DETECTIONS, box_voting=True)
    benchmark.extra_info |= {"candidates": len(candidates), "kept": len(kept)}
    assert len(kept) >= OBJECTS * 0.9


def test_pipeline(
    benchmark: BenchmarkFixture, artifacts: Artifacts, frame_rgb: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    """A full-HD clip from file to detections; against the bare runtime in turns: test_stream.py."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (1920, 1080))
    for index in range(FRAMES):
        writer.write(np.roll(frame_rgb, 8 * index, axis=1))
    writer.release()
    detector = Detector(artifacts.int8, threads=THREADS)

    def fly() -> int:
        return len([result.frame.index for result in Pipeline(open_source(path), detector)])

    frames = benchmark.pedantic(fly, rounds=3, iterations=1)  # type: ignore[no-untyped-call]  # not typed
    benchmark.extra_info |= {"frames": frames}
    assert frames == FRAMES
