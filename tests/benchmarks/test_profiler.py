"""The profiler's clock against the runtime's own loop."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import numpy.typing as npt
from pytest_benchmark.fixture import BenchmarkFixture

from boards.child import call_in_child
from boards.timing import time_artifact
from edge.runtimes import open_runtime
from tests.benchmarks.conftest import Artifacts

THREADS = 1
SECONDS = 2.0
ROUNDS = 5
MAX_DIFFERENCE = 0.03


def own_loop_ms(artifact: str, images_nhwc_u8: npt.NDArray[np.uint8]) -> float:
    """Median of nothing but `infer`, in a fresh process as a turn of the profiler is."""
    with open_runtime(artifact, threads=THREADS) as runtime:
        for _ in range(10):
            runtime.infer(images_nhwc_u8)
        times_ms = []
        end_s = time.perf_counter() + SECONDS
        while time.perf_counter() < end_s:
            start_s = time.perf_counter()
            runtime.infer(images_nhwc_u8)
            times_ms.append((time.perf_counter() - start_s) * 1e3)
    return median(times_ms)


def test_the_clock_is_honest(benchmark: BenchmarkFixture, artifacts: Artifacts) -> None:
    artifact = str(artifacts.int8)
    image = np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8)

    def both() -> list[float]:
        ratios = []
        for _ in range(ROUNDS):
            turn = call_in_child(time_artifact, artifact, (image,), SECONDS, THREADS, about=artifact)
            own_ms = call_in_child(own_loop_ms, artifact, image[np.newaxis], about=artifact)
            ratios.append(float(np.median(turn.infer_ms)) / own_ms)
        return ratios

    ratio = median(benchmark.pedantic(both, rounds=1, iterations=1))  # type: ignore[no-untyped-call]  # not typed
    benchmark.extra_info |= {"ratio": ratio}
    assert abs(ratio - 1) <= MAX_DIFFERENCE
