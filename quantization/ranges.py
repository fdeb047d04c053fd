"""Ranges of activations by three calibration methods, all from one pass over the images.

- `min-max`: all observed values. Nothing is clipped; a single outlier makes every step coarse.
- `percentile`: without the outermost 0.01 % on either side.
- `mse`: the range, shrunk towards zero, with the smallest expected squared error of clipping and rounding together;
  the rounding error of a step is step^2 / 12.

No method is best for every network, so `tinydet.quantization.calibration_methods` compares them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tinydet.quantization.pt2e import MinMaxObserver

METHODS = ("min-max", "percentile", "mse")
TAIL = 1e-4  # share of the values that `percentile` clips on either side
BINS = 8192
SAMPLES = 100_000  # values of one image in the histogram, evenly spaced; extremes are over all values
SHRINKS = torch.linspace(1.0, 0.2, 81)


class RangeObserver(MinMaxObserver):  # type: ignore[misc]  # torchao is not typed
    """Records extremes and a histogram of the values that pass; the bins cover [-reach, reach].

    `reach` is a power of two: when it doubles, two bins become one exactly, so the order of images does not matter.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.reach = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Record the values and return them unchanged."""
        super().forward(x)
        values = x.detach().float().flatten()
        values = values[:: max(1, len(values) // SAMPLES)]
        largest = max(float(self.max_val), -float(self.min_val), 1e-6)
        needed = 2.0 ** (math.floor(math.log2(largest)) + 1)
        if self.reach == 0.0:
            self.reach = needed
        while self.reach < needed:
            wider = torch.zeros_like(self.counts)
            wider[BINS // 4 : 3 * BINS // 4] = self.counts.reshape(-1, 2).sum(1)
            self.counts, self.reach = wider, 2 * self.reach
        self.counts += torch.histc(values, bins=BINS, min=-self.reach, max=self.reach)
        return x

    def copy_from(self, other: RangeObserver) -> None:
        """Replace the records by those of `other`."""
        self.min_val.resize_(other.min_val.shape).copy_(other.min_val)
        self.max_val.resize_(other.max_val.shape).copy_(other.max_val)
        self.counts, self.reach = other.counts.clone(), other.reach

    def range_by(self, method: str) -> tuple[float, float]:
        """Smallest and largest value of the range by one of `METHODS`; zero may lie outside."""
        low, high = float(self.min_val), float(self.max_val)
        if method == "min-max":
            return low, high
        width = 2 * self.reach / BINS
        edges = torch.arange(BINS + 1, dtype=torch.float64) * width - self.reach
        if method == "percentile":
            share = self.counts.cumsum(0) / self.counts.sum()
            first = int((share > TAIL).nonzero()[0])
            last = int((share >= 1 - TAIL).nonzero()[0])
            return max(low, float(edges[first])), min(high, float(edges[last + 1]))
        if method == "mse":
            shrink = self._best_shrink(edges[:-1] + width / 2, min(low, 0.0), max(high, 0.0))
            return low * shrink, high * shrink
        raise ValueError(f"expected a method of {', '.join(METHODS)}, got {method!r}")

    def _best_shrink(self, centres: Tensor, low: float, high: float) -> float:
        shrinks = SHRINKS.double()[:, None]
        clipped = centres.clamp(low, high)
        lost = clipped - torch.minimum(torch.maximum(clipped, shrinks * low), shrinks * high)
        step = shrinks[:, 0] * (high - low) / (self.quant_max - self.quant_min)
        error = (lost.square() * self.counts).sum(1) / self.counts.sum() + step.square() / 12
        return float(SHRINKS[int(error.argmin())])
