"""The ratios the design promises, measured by the profiler's protocol: interleaved, one session open at a time."""

from __future__ import annotations

import gc
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import OBJECTS, Artifacts
from tinydet.boards.profiling.frames import Frames
from tinydet.boards.profiling.latency_statistics import fastest_median, time_ratio
from tinydet.boards.profiling.profiler import Profiler
from tinydet.edge.detection.detector import Detector, StageTimes
from tinydet.edge.sources.opening import open_source
from tinydet.training.data.scenes import render_scene

THREADS = 2
"""Of inference, letterbox and all: where what is around the network counts most."""
RATIO_THREADS = 1
"""One core's kernels against each other. On two, what else runs on the machine decides: LiteRT's ratio reads 0.43 to
0.46 then."""
SECONDS = 12
FRAMES = 100
BUSY_SEED = 8
"""Of a rendered scene with 143 objects, of which the bundled `n` finds about a hundred."""
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
    profiler = Profiler(both, frames=frames, seconds=SECONDS, threads=RATIO_THREADS)
    profile = benchmark.pedantic(profiler.run, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # not typed
    fp32, int8 = ([turn.infer_ms for turn in row.turns] for row in profile.artifacts)
    ratio = time_ratio(fp32, int8)
    benchmark.extra_info |= {"fp32_ms": fastest_median(fp32), "int8_ms": fastest_median(int8), "ratio": ratio}
    assert ratio <= limit, f"INT8 takes {ratio:.2f} of FP32's time; expect about 0.7 from an x86 CPU without VNNI"


@pytest.fixture(scope="module")
def busy_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Full HD, a hundred objects that `n` finds at its own threshold: a scene that the letterbox makes as it was."""
    path = tmp_path_factory.mktemp("clip") / "busy.mp4"
    scene_rgb = cv2.resize(render_scene(BUSY_SEED, (360, 640)).image_rgb, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (1920, 1080))
    for index in range(FRAMES):
        writer.write(np.ascontiguousarray(np.roll(scene_rgb, 3 * index, axis=1)[..., ::-1]))
    writer.release()
    return path


@pytest.mark.parametrize("made_for", ["artifacts", "openvino_artifacts"])
def test_nothing_is_wasted_around_the_network(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, made_for: str, busy_clip: Path
) -> None:
    """Letterbox, decoding and NMS of a clip's frames, one after the other, with the caches as the stages leave them."""
    made: Artifacts = request.getfixturevalue(made_for)
    detector = Detector(made.int8, threads=THREADS)
    seen: list[tuple[StageTimes, int]] = []

    def detect_frames() -> None:
        for frame in open_source(busy_clip):
            detections, times = detector.detect_timed(frame.image_rgb)
            seen.append((times, len(detections)))

    before = cv2.getNumThreads()
    cv2.setNumThreads(THREADS)
    gc.collect()
    benchmark.pedantic(detect_frames, rounds=1, iterations=1, warmup_rounds=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    cv2.setNumThreads(before)
    timed = seen[FRAMES:]
    assert median(count for _, count in timed) >= OBJECTS * 0.9
    pre_ms, infer_ms, post_ms = (
        median(getattr(times, stage) for times, _ in timed) for stage in ("pre_ms", "infer_ms", "post_ms")
    )
    share = (pre_ms + post_ms) / infer_ms
    benchmark.extra_info |= {"pre_ms": pre_ms, "infer_ms": infer_ms, "post_ms": post_ms, "share": share}
    assert share <= MAX_SURROUNDINGS_TO_INT8
