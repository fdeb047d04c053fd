"""What looking tile by tile costs: little more than the inferences."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks.conftest import INPUT_PX, Artifacts
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.slicing import OVERLAP_SHARE, SlicedDetector
from tinydet.edge.detection.tiles import tiles_of

ROUNDS, SINGLE = 7, 8
THREADS = 1
MAX_TO_SINGLE = 1.1


@pytest.mark.parametrize("made_for", ["artifacts", "openvino_artifacts"])
def test_tiles_cost_their_inferences(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, made_for: str, frame_rgb: npt.NDArray[np.uint8]
) -> None:
    """Full HD in 8 tiles, with letterbox, decoding, NMS and merge, against single inferences on a ready tensor."""
    made: Artifacts = request.getfixturevalue(made_for)
    detector = Detector(made.int8, threads=THREADS)
    sliced = SlicedDetector(detector)
    height, width = frame_rgb.shape[:2]
    tiles = len(tiles_of(width, height, tile_px=INPUT_PX, overlap_px=round(OVERLAP_SHARE * INPUT_PX)))
    ready = np.ascontiguousarray(frame_rgb[np.newaxis, :INPUT_PX, :INPUT_PX])
    frame_s: list[float] = []
    single_s: list[float] = []

    def in_turns() -> None:
        for _ in range(ROUNDS):
            start_s = time.perf_counter()
            for _ in range(SINGLE):
                detector.runtime.infer(ready)
            between_s = time.perf_counter()
            sliced.detect(frame_rgb)
            frame_s.append(time.perf_counter() - between_s)
            single_s.append((between_s - start_s) / SINGLE)

    benchmark.pedantic(in_turns, rounds=1, iterations=1, warmup_rounds=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    share = median(frame / (tiles * single) for frame, single in zip(frame_s, single_s, strict=True))
    benchmark.extra_info |= {"tiles": tiles, "single_ms": median(single_s) * 1e3, "frame_ms": median(frame_s) * 1e3}
    benchmark.extra_info |= {"share": share}
    assert share <= MAX_TO_SINGLE, f"a frame of {tiles} tiles takes {share:.2f} of {tiles} single inferences"
