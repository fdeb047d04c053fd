"""What surrounds the network, piece by piece."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge.decoding import decode
from edge.evaluation import SCORE_THRESHOLD
from edge.letterbox import Letterboxer
from edge.nms import nms
from tests.benchmarks.conftest import INPUT_PX, OBJECTS, STRIDES

FLYING_THRESHOLD, NMS_IOU_THRESHOLD, MAX_DETECTIONS = 0.3, 0.6, 1500


@pytest.mark.parametrize("source_wh", [(1280, 720), (1920, 1080), (3840, 2160), (4000, 3000)], ids=str)
def test_letterbox(benchmark: BenchmarkFixture, source_wh: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (source_wh[1], source_wh[0], 3)).astype(np.uint8)
    letterboxer = Letterboxer((INPUT_PX, INPUT_PX))
    assert benchmark(letterboxer, image).image.shape == (INPUT_PX, INPUT_PX, 3)


@pytest.mark.parametrize("score_threshold", [FLYING_THRESHOLD, SCORE_THRESHOLD])
def test_decode(
    benchmark: BenchmarkFixture, raw_outputs: list[npt.NDArray[np.float32]], score_threshold: float
) -> None:
    candidates = benchmark(decode, raw_outputs, strides=STRIDES, score_threshold=score_threshold)
    assert len(candidates) > OBJECTS


@pytest.mark.parametrize("score_threshold", [FLYING_THRESHOLD, SCORE_THRESHOLD])
def test_nms(benchmark: BenchmarkFixture, raw_outputs: list[npt.NDArray[np.float32]], score_threshold: float) -> None:
    candidates = decode(raw_outputs, strides=STRIDES, score_threshold=score_threshold)
    kept = benchmark(nms, candidates, iou_threshold=NMS_IOU_THRESHOLD, max_detections=MAX_DETECTIONS)
    benchmark.extra_info |= {"candidates": len(candidates), "kept": len(kept)}
    assert len(kept) >= OBJECTS * 0.9
