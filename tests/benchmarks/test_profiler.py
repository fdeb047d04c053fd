"""The profiler's clock against each runtime's own: ONNX Runtime and LiteRT in a bare loop, OpenVINO's benchmark_app."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import Artifacts
from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.boards.profiling.timing import time_artifact
from tinydet.edge.runtimes.tflite_file import read_tflite

THREADS = 1
SECONDS = 3
ROUNDS = 5
MAX_DIFFERENCE = 0.03

IMAGE_RGB = np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8)


def onnxruntime_ms(artifact: Path) -> float:
    """Nothing of ours: a session and its `run`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: IMAGE_RGB[np.newaxis]}
    return _median_ms(lambda: session.run(None, feed))


def litert_ms(artifact: Path) -> float:
    """Nothing of ours: an interpreter and its `invoke`."""
    from ai_edge_litert.interpreter import Interpreter

    model, _, _ = read_tflite(artifact)
    interpreter = Interpreter(model_content=model, num_threads=THREADS)
    interpreter.allocate_tensors()
    return _median_ms(interpreter.invoke)


def benchmark_app_ms(artifact: Path) -> float:
    """As Intel ships it."""
    program = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "-m", str(artifact), "-d", "CPU", "-api", "sync"]
    command += ["-hint", "none", "-nstreams", "1", "-nthreads", str(THREADS), "-infer_precision", "f32"]
    command += ["-t", str(SECONDS), "-shape", "[1,640,640,3]"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(r"Median:\s+([\d.]+) ms", said)
    return float(found)


def _median_ms(infer: Callable[[], object]) -> float:
    for _ in range(10):
        infer()
    times_ms = []
    end_s = time.perf_counter() + SECONDS
    while time.perf_counter() < end_s:
        start_s = time.perf_counter()
        infer()
        times_ms.append((time.perf_counter() - start_s) * 1e3)
    return median(times_ms)


@pytest.mark.parametrize(
    ("made_for", "precision", "own_ms"),
    [
        ("artifacts", "int8", onnxruntime_ms),
        ("openvino_artifacts", "floats", benchmark_app_ms),  # INT8 is changed when it is loaded: `keep_rounding`
        ("tflite_artifacts", "int8", litert_ms),
    ],
)
def test_the_clock_is_honest(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    made_for: str,
    precision: str,
    own_ms: Callable[[Path], float],
) -> None:
    """In turns, each in a process of its own."""
    made: Artifacts = request.getfixturevalue(made_for)
    artifact: Path = getattr(made, precision)

    def both() -> list[tuple[float, float]]:
        pairs = []
        for _ in range(ROUNDS):
            turn = run_in_fresh_process(
                time_artifact, str(artifact), (IMAGE_RGB,), SECONDS, THREADS, None, about="profiler"
            )
            pairs.append(
                (float(np.median(turn.infer_ms)), run_in_fresh_process(own_ms, artifact, about="its own tool"))
            )
        return pairs

    pairs = benchmark.pedantic(both, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # not typed
    ours_ms, own_median_ms = (median(times) for times in zip(*pairs, strict=True))
    ratio = median(ours / own for ours, own in pairs)
    benchmark.extra_info |= {"profiler_ms": ours_ms, "own_ms": own_median_ms, "ratio": ratio}
    assert abs(ratio - 1) <= MAX_DIFFERENCE
