from __future__ import annotations

import numpy as np
import pytest

from tinydet.boards.profiling.latency_statistics import time_ratio


def test_a_busy_machine_does_not_change_the_ratio() -> None:
    """Three of five rounds ran beside something else, which cost the one artifact more than the other."""
    first = [np.full(20, 40.0), *[np.full(20, 120.0)] * 3, np.full(20, 41.0)]
    other = [np.full(40, 20.5), *[np.full(20, 40.0)] * 3, np.full(40, 20.0)]
    assert time_ratio(first, other) == pytest.approx(0.5)
    assert np.median(np.concatenate(other)) / np.median(np.concatenate(first)) < 0.2  # what it is better than


def test_a_single_fast_frame_is_no_fast_round() -> None:
    values = np.array([1.0, *[10.0] * 9], np.float64)
    assert time_ratio([values], [values + 1.0]) == pytest.approx(1.1)
