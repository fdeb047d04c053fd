from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.detection.decoding import decode

STRIDES = (4, 8, 16)


def raw_outputs(input_px: int = 64, classes: int = 3, batch: int = 1, seed: int = 0) -> list[npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    outputs = []
    for stride in STRIDES:
        side = input_px // stride
        outputs.append(random.normal(-2, 2, (batch, side, side, classes)).astype(np.float32))
        outputs.append(random.uniform(-0.2, 2, (batch, side, side, 4)).astype(np.float32))
    return outputs


def naive(raw: list[npt.NDArray[np.float32]], score_threshold: float, batch_index: int) -> list[tuple[float, ...]]:
    """Cell by cell, straight from the definition: (score, class, left, top, right, bottom)."""
    found = []
    for level, stride in enumerate(STRIDES):
        logits, distances = raw[2 * level][batch_index], raw[2 * level + 1][batch_index]
        for y in range(logits.shape[0]):
            for x in range(logits.shape[1]):
                left, top, right, bottom = (float(d) for d in distances[y, x])
                box = ((x + 0.5 - left), (y + 0.5 - top), (x + 0.5 + right), (y + 0.5 + bottom))
                for class_id, logit in enumerate(logits[y, x]):
                    score = 1 / (1 + math.exp(-float(logit)))
                    if score >= score_threshold:
                        found.append((score, class_id, *(side * stride for side in box)))
    return sorted(found, key=lambda candidate: -candidate[0])


@pytest.mark.parametrize("batch_index", [0, 1])
def test_is_the_definition(batch_index: int) -> None:
    raw = raw_outputs(batch=2)
    expected = np.array(naive(raw, 0.3, batch_index))
    detections = decode(raw, strides=STRIDES, score_threshold=0.3, batch_index=batch_index)
    assert len(detections) == len(expected) > 100
    assert np.allclose(detections.scores, expected[:, 0], atol=1e-6)
    assert np.array_equal(detections.class_ids, expected[:, 1])
    assert np.allclose(detections.boxes_xyxy_px, expected[:, 2:], atol=1e-3)


def test_a_cell_reaches_from_its_centre() -> None:
    raw = [np.full_like(output, -20) for output in raw_outputs()]
    raw[2][0, 3, 5, 1] = 0.0  # stride 8, row 3, column 5: centre (44, 28)
    raw[3][0, 3, 5] = (1, 0.5, 2, -0.25)
    detections = decode(raw, strides=STRIDES, score_threshold=0.5)
    assert detections.boxes_xyxy_px.tolist() == [[36, 24, 60, 26]]
    assert (detections.scores.tolist(), detections.class_ids.tolist()) == ([0.5], [1])


@pytest.mark.parametrize("limit", [1, 7, 50, 100_000])
def test_keeps_the_best_candidates(limit: int) -> None:
    raw = raw_outputs()
    everything = decode(raw, strides=STRIDES, score_threshold=0.1)
    detections = decode(raw, strides=STRIDES, score_threshold=0.1, max_candidates=limit)
    assert np.array_equal(detections.scores, everything.scores[:limit])
    assert np.array_equal(detections.boxes_xyxy_px, everything.boxes_xyxy_px[:limit])


def test_ties_are_kept_in_order() -> None:
    raw = [np.zeros_like(output) for output in raw_outputs(classes=1)]
    detections = decode(raw, strides=STRIDES, score_threshold=0.5, max_candidates=3)
    assert detections.boxes_xyxy_px[:, 0].tolist() == [2, 6, 10]


def test_thresholds_at_the_ends() -> None:
    raw = raw_outputs()
    assert len(decode(raw, strides=STRIDES, score_threshold=0.0, max_candidates=10**6)) == 3 * (16**2 + 8**2 + 4**2)
    nothing = decode(raw, strides=STRIDES, score_threshold=1.0)
    assert (len(nothing), nothing.boxes_xyxy_px.shape) == (0, (0, 4))


def test_extreme_logits_become_zero_and_one() -> None:
    raw = [np.zeros_like(output) for output in raw_outputs(classes=1)]
    raw[0][0, 0, 0, 0], raw[0][0, 0, 1, 0] = 500, -500
    scores = decode(raw, strides=STRIDES, score_threshold=0.0, max_candidates=10**6).scores
    assert scores.max() == 1
    assert 0 <= scores.min() < 1e-37


def test_a_model_that_says_nan_finds_nothing_there() -> None:
    raw = [np.full_like(output, -20) for output in raw_outputs()]
    raw[0][0, 0, 0, 0] = np.nan
    assert len(decode(raw, strides=STRIDES, score_threshold=0.1)) == 0
