"""The ratios the design promises, measured by the profiler's protocol: interleaved, one session open at a time."""

from __future__ import annotations

import gc
import time
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from boards.profiler import Frames, profile_artifacts
from boards.statistics import fastest_median, time_ratio
from edge.detector import Detector
from edge.letterbox import Letterboxed
from tests.benchmarks.conftest import OBJECTS, Artifacts

THREADS = 2
"""Of inference, letterbox and all: where what is around the network counts most."""
RATIO_THREADS = 1
"""One core's kernels against each other. On two, what else runs on the machine decides: LiteRT's ratio reads 0.43 to
0.46 then."""
SECONDS = 12
MAX_INT8_TO_FP32 = 0.55
MAX_OPENVINO_INT8_TO_FP32 = 0.46
MAX_LITERT_INT8_TO_FP32 = 0.45
MAX_SURROUNDINGS_TO_INT8 = 0.10


@pytest.mark.parametrize(
    ("made_for", "limit"),
    [
        ("artifacts", MAX_INT8_TO_FP32),
        ("openvino_artifacts", MAX_OPENVINO_INT8_TO_FP32),
        ("tflite_artifacts", MAX_LITERT_INT8_TO_FP32),
    ],
)
def test_int8_is_faster(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    frame_rgb: npt.NDArray[np.uint8],
    made_for: str,
    limit: float,
) -> None:
    frames = Frames(images_rgb=(frame_rgb,), description="noise")
    made: Artifacts = request.getfixturevalue(made_for)
    both = (made.floats, made.int8)
    options = {"frames": frames, "seconds": SECONDS, "threads": RATIO_THREADS}
    profile = benchmark.pedantic(  # type: ignore[no-untyped-call]  # the plugin is not typed
        profile_artifacts, (both,), options, rounds=1, iterations=1
    )
    fp32, int8 = ([turn.infer_ms for turn in row.turns] for row in profile.artifacts)
    ratio = time_ratio(fp32, int8)
    benchmark.extra_info |= {"fp32_ms": fastest_median(fp32), "int8_ms": fastest_median(int8), "ratio": ratio}
    assert ratio <= limit, f"INT8 takes {ratio:.2f} of FP32's time; expect about 0.7 from an x86 CPU without VNNI"


@pytest.mark.parametrize("made_for", ["artifacts", "openvino_artifacts"])
def test_nothing_is_wasted_around_the_network(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    made_for: str,
    frame_rgb: npt.NDArray[np.uint8],
    letterboxed: Letterboxed,
    raw_outputs: list[npt.NDArray[np.float32]],
) -> None:
    """Full HD, 100 objects: letterbox, decoding and NMS around each inference, with the caches as it leaves them."""
    made: Artifacts = request.getfixturevalue(made_for)
    detector = Detector(made.int8, threads=THREADS)
    source_hw = (frame_rgb.shape[0], frame_rgb.shape[1])
    times_ms: dict[str, list[float]] = {"pre": [], "infer": [], "post": []}

    def detect_frames() -> None:
        for _ in range(100):
            start = time.perf_counter()
            prepared = detector.preprocess(frame_rgb)
            after_pre = time.perf_counter()
            detector.runtime.infer(prepared.image[np.newaxis])
            after_infer = time.perf_counter()
            detections = detector.postprocess(raw_outputs, letterboxed, source_hw)
            end = time.perf_counter()
            assert len(detections) >= OBJECTS * 0.9
            for stage, seconds in zip(
                times_ms, (after_pre - start, after_infer - after_pre, end - after_infer), strict=True
            ):
                times_ms[stage].append(seconds * 1e3)

    before = cv2.getNumThreads()
    cv2.setNumThreads(THREADS)
    gc.collect()
    benchmark.pedantic(detect_frames, rounds=1, iterations=1, warmup_rounds=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    cv2.setNumThreads(before)
    pre_ms, infer_ms, post_ms = (median(values[100:]) for values in times_ms.values())
    share = (pre_ms + post_ms) / infer_ms
    benchmark.extra_info |= {"pre_ms": pre_ms, "infer_ms": infer_ms, "post_ms": post_ms, "share": share}
    assert share <= MAX_SURROUNDINGS_TO_INT8
