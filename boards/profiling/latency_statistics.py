"""Percentiles of latencies, ratios between artifacts, and confidence intervals by bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Percentiles of one stage over all timed frames."""

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


def percentiles(values_ms: Array) -> Percentiles:
    """Percentiles of (N,) values, linearly interpolated."""
    p50, p90, p95, p99 = np.percentile(values_ms, [50, 90, 95, 99]).tolist()
    return Percentiles(p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99)


def fastest_median(rounds: Sequence[Array]) -> float:
    """Median of the round that has the lowest one."""
    return float(min(np.median(values) for values in rounds))


def time_ratio(first: Sequence[Array], other: Sequence[Array]) -> float:
    """Time of `other` divided by time of `first`, each given round by round: ratio of their fastest rounds' medians.

    Other load and heat only add time, and seldom the same share to both in a round; medians over all rounds may come
    from an idle machine for one and from a busy machine for the other.
    """
    return fastest_median(other) / fastest_median(first)


def bootstrap_medians(rounds: Sequence[Array], seed: int) -> Array:
    """(1000,) bootstrap medians.

    Neighbouring frames are correlated, and so are the frames of a round, so rounds are drawn with replacement, and from
    each of them blocks of sqrt(N) neighbouring frames (Künsch, "The Jackknife and the Bootstrap for General Stationary
    Observations", 1989).
    """
    random = np.random.default_rng(seed)
    medians = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        drawn = random.integers(len(rounds), size=len(rounds))
        medians[index] = np.median(np.concatenate([_blocks(rounds[i], random) for i in drawn]))
    return medians


def ratio_interval(before: Sequence[Array], after: Sequence[Array]) -> tuple[float, float]:
    """95 % interval of median(after) / median(before), each given round by round."""
    ratios = bootstrap_medians(after, seed=1) / bootstrap_medians(before, seed=2)
    low, high = np.percentile(ratios, [2.5, 97.5]).tolist()
    return low, high


def _blocks(values: Array, random: np.random.Generator) -> Array:
    count = len(values)
    length = math.ceil(math.sqrt(count))
    starts = random.integers(count - length + 1, size=math.ceil(count / length))
    drawn: Array = values[(starts[:, np.newaxis] + np.arange(length)).ravel()[:count]]
    return drawn
