"""A stream at the speed of its model: a file's throughput, and the age of a live source's results."""

from __future__ import annotations

import shutil
import time
from itertools import islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge.detector import Detector
from edge.pipeline import Pipeline
from edge.runtimes import Runtime, open_runtime
from edge.sources import open_source
from tests.benchmarks.conftest import Artifacts

FRAMES, ROUNDS = 60, 5
MIN_SHARE = 0.95
INFERENCE_S = 0.1
MAX_AGE_TO_INFERENCE = 2


@pytest.fixture
def clip(tmp_path: Path, frame_rgb: npt.NDArray[np.uint8]) -> Path:
    """Full HD, a picture that moves."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (1920, 1080))
    for index in range(FRAMES):
        writer.write(np.roll(frame_rgb, 8 * index, axis=1))
    writer.release()
    return path


def test_a_file_at_the_speed_of_the_runtime(benchmark: BenchmarkFixture, artifacts: Artifacts, clip: Path) -> None:
    """Against the runtime in a loop on one ready tensor, in turns; one thread each, so that a core is left to read."""
    detector = Detector(artifacts.int8, threads=1)
    ready = np.random.default_rng(0).integers(0, 256, (1, 640, 640, 3)).astype(np.uint8)
    rates: dict[str, list[float]] = {"pipeline": [], "runtime": []}

    def in_turns() -> None:
        for _ in range(ROUNDS):
            start_s = time.perf_counter()
            for _ in range(FRAMES):
                detector.runtime.infer(ready)
            between_s = time.perf_counter()
            assert len(_frame_numbers(Pipeline(open_source(clip), detector))) == FRAMES
            rates["runtime"].append(FRAMES / (between_s - start_s))
            rates["pipeline"].append(FRAMES / (time.perf_counter() - between_s))

    benchmark.pedantic(in_turns, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    share = median(stream / bare for stream, bare in zip(rates["pipeline"], rates["runtime"], strict=True))
    benchmark.extra_info |= {name: median(values) for name, values in rates.items()} | {"share": share}
    assert share >= MIN_SHARE, f"the pipeline reaches {share:.2f} of the runtime's images a second"


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="no gst-launch-1.0: apt install gstreamer1.0-tools")
def test_a_live_source_is_fresh(
    benchmark: BenchmarkFixture, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 frames a second from a source that waits for nobody, and a runtime that takes a tenth of a second for each."""
    runtime = open_runtime(artifacts.int8, threads=1)
    _slow_down(runtime, monkeypatch)
    ages_ms: list[float] = []

    def fly() -> None:
        source = open_source("gst:videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1")
        for result in islice(Pipeline(source, Detector(runtime)), 60):
            assert result.age_ms is not None
            ages_ms.append(result.age_ms)

    benchmark.pedantic(fly, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    benchmark.extra_info |= {"median_age_ms": median(ages_ms), "max_age_ms": max(ages_ms)}
    assert max(ages_ms) <= MAX_AGE_TO_INFERENCE * INFERENCE_S * 1e3


def _slow_down(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = runtime.infer

    def slow_infer(images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        end_s = time.perf_counter() + INFERENCE_S
        outputs = infer(images_nhwc_u8)
        time.sleep(max(0.0, end_s - time.perf_counter()))
        return outputs

    monkeypatch.setattr(runtime, "infer", slow_infer)


def _frame_numbers(pipeline: Pipeline) -> list[int]:
    return [result.frame.index for result in pipeline]
