"""A stream at the speed of its model: a file's throughput, and the age of a live source's results."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
import openvino
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import Artifacts
from tinydet.edge.detection.detector import Detector
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.openvino import keep_rounding, read_ir
from tinydet.edge.runtimes.runtime import Runtime
from tinydet.edge.sources.opening import open_source
from tinydet.edge.stream.pipeline import Pipeline

FRAMES, ROUNDS = 60, 5
BENCHMARK_APP = "from openvino.tools.benchmark.main import main; main()"
MIN_SHARE = 0.95
INFERENCE_S = 0.1
MAX_AGE_TO_INFERENCE = 2
RESULTS = 200
MAX_MEMORY_GROWTH = 0.02


@pytest.fixture
def clip(tmp_path: Path, frame_rgb: npt.NDArray[np.uint8]) -> Path:
    """Full HD, a picture that moves."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (1920, 1080))
    for index in range(FRAMES):
        writer.write(np.roll(frame_rgb, 8 * index, axis=1))
    writer.release()
    return path


@pytest.mark.parametrize("made_for", ["artifacts", "openvino_artifacts"])
def test_a_file_at_the_speed_of_the_runtime(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, made_for: str, clip: Path
) -> None:
    """Against the runtime in a loop on one ready tensor, in turns; one thread each, so that a core is left to read."""
    made: Artifacts = request.getfixturevalue(made_for)
    detector = Detector(made.int8, threads=1)
    ready = np.random.default_rng(0).integers(0, 256, (1, 640, 640, 3)).astype(np.uint8)

    def bare() -> float:
        start_s = time.perf_counter()
        for _ in range(FRAMES):
            detector.runtime.infer(ready)
        return FRAMES / (time.perf_counter() - start_s)

    _compare(benchmark, detector, clip, bare)


def test_a_file_at_the_speed_of_openvino_s_own_benchmark(
    benchmark: BenchmarkFixture, openvino_artifacts: Artifacts, clip: Path, tmp_path: Path
) -> None:
    """benchmark_app in its asynchronous mode, with the runtime's settings: one thread, one request, float32.

    It is given the network as the runtime compiles it, which rounds where OpenVINO left alone does not; what that costs
    is shown by the file as exported.
    """
    detector = Detector(openvino_artifacts.int8, threads=1)
    model, _ = read_ir(openvino.Core(), openvino_artifacts.int8)
    keep_rounding(model)
    openvino.save_model(model, tmp_path / "rounding.xml", compress_to_fp16=False)
    requests = str(detector.runtime.parallel)
    options = ["-d", "CPU", "-api", "async", "-infer_precision", "f32", "-t", "3", "-shape", "[1,640,640,3]"]
    options += ["-hint", "none", "-nstreams", requests, "-nireq", requests, "-nthreads", "1"]

    def benchmark_app(network: Path) -> float:
        command = [sys.executable, "-c", BENCHMARK_APP, "-m", str(network), *options]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(r"Throughput: +([0-9.]+) FPS", said)
        assert found is not None, said
        return float(found[1])

    _compare(
        benchmark,
        detector,
        clip,
        bare=lambda: benchmark_app(tmp_path / "rounding.xml"),
        without_rounding=lambda: benchmark_app(openvino_artifacts.int8),
    )


def _compare(
    benchmark: BenchmarkFixture,
    detector: Detector,
    clip: Path,
    bare: Callable[[], float],
    **others: Callable[[], float],
) -> None:
    """The pipeline on the clip against `bare` (images a second), in turns; `others` are recorded.

    Its clock starts with the first result, as theirs with the first inference.
    """
    measured = {"bare": bare, "pipeline": lambda: _images_per_s(detector, clip), **others}
    rates: dict[str, list[float]] = {name: [] for name in measured}

    def in_turns() -> None:
        for _ in range(ROUNDS):
            for name, measure in measured.items():
                rates[name].append(measure())

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    benchmark.pedantic(in_turns, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    cv2.setNumThreads(before)
    shares = {
        f"pipeline / {name}": median(a / b for a, b in zip(rates["pipeline"], values, strict=True))
        for name, values in rates.items()
        if name != "pipeline"
    }
    benchmark.extra_info |= {name: median(values) for name, values in rates.items()} | shares
    share = shares["pipeline / bare"]
    assert share >= MIN_SHARE, f"the pipeline reaches {share:.3f} of the images a second without it"


def _images_per_s(detector: Detector, clip: Path) -> float:
    times_s = [time.perf_counter() for _ in Pipeline(open_source(clip), detector)]
    assert len(times_s) == FRAMES
    return (FRAMES - 1) / (times_s[-1] - times_s[0])


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="no gst-launch-1.0: apt install gstreamer1.0-tools")
def test_a_live_source_is_fresh(
    benchmark: BenchmarkFixture, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 frames a second from a source that waits for nobody, and a runtime that takes a tenth of a second for each.

    No result is older than two inferences, what is left out is counted, and memory stays what it is.
    """
    runtime = open_runtime(artifacts.int8, threads=1)
    _slow_down(runtime, monkeypatch)
    ages_ms: list[float] = []
    memory_mib: list[float] = []

    def fly() -> None:
        source = open_source("gst:videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1")
        for count, result in enumerate(islice(Pipeline(source, Detector(runtime)), RESULTS)):
            assert result.age_ms is not None
            ages_ms.append(result.age_ms)
            memory_mib.append(_memory_mib())
            assert result.dropped >= result.frame.index - count, "left out before this one; more may have been since"

    benchmark.pedantic(fly, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    benchmark.extra_info |= {"median_age_ms": median(ages_ms), "max_age_ms": max(ages_ms)}
    growth = memory_mib[-1] / memory_mib[RESULTS // 4] - 1
    benchmark.extra_info |= {"memory_mib": memory_mib[-1], "memory_growth": growth}
    assert growth < MAX_MEMORY_GROWTH
    assert max(ages_ms) <= MAX_AGE_TO_INFERENCE * INFERENCE_S * 1e3


def _memory_mib() -> float:
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert resident is not None
    return int(resident[1]) / 1024


def _slow_down(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = runtime.infer

    def slow_infer(images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        end_s = time.perf_counter() + INFERENCE_S
        outputs = infer(images_nhwc_u8)
        time.sleep(max(0.0, end_s - time.perf_counter()))
        return outputs

    monkeypatch.setattr(runtime, "infer", slow_infer)
