"""Plots as inline SVG: colours are CSS variables of the page, sizes fit a phone and are scaled up by the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from tinydet.boards.profiling.profile_file import STAGES

WIDTH = 420
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 34
HISTOGRAM_BINS = 60
ROW = 46
AP_MARGIN = 0.02
"""Margin of the AP axis above and below the dots, so that differences within noise look small."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Axis that maps values to pixels, with ticks at round numbers."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Position of a value in pixels."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start_px + share * (self.end_px - self.start_px), 1)

    @property
    def ticks(self) -> list[float]:
        """Three to six round values."""
        rough = (self.high - self.low) / 4
        power = 10 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.8)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis(values: Sequence[float], start_px: float, end_px: float, *, from_zero: bool) -> Axis:
    """Axis around `values` with a margin of 8 %."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Axis(low=0 if from_zero else low - margin, high=high + margin, start_px=start_px, end_px=end_px)


def svg(height: float, parts: Sequence[str], title: str) -> str:
    """One plot; screen readers read its `title`."""
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">{body}</svg>'


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    """A text element."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(content)}</text>'


def grid(horizontal: Axis, vertical: Axis | None, *, top: float, bottom: float, label: str) -> list[str]:
    """Ticks, lines and the name of the horizontal axis."""
    parts = []
    for tick in horizontal.ticks:
        x = horizontal(tick)
        parts.append(f'<path class="grid" d="M{x} {top:g}V{bottom:g}"/>')
        parts.append(text(x, bottom + 14, f"{tick:g}" if abs(tick) >= 1e-9 else "0", anchor="middle"))
    for tick in vertical.ticks if vertical else ():
        y = (vertical or horizontal)(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
    parts.append(text(WIDTH - RIGHT, bottom + 29, label, anchor="end", kind="axis"))
    return parts


def latency_distribution(names: Sequence[str], times_ms: Sequence[npt.NDArray[np.float64]]) -> str:
    """A histogram for each artifact on one axis, with percentiles 50, 95 and 99; the slowest 0.5 % are cut off."""
    highest = max(float(np.percentile(values, 99.5)) for values in times_ms)
    horizontal = axis([min(float(values.min()) for values in times_ms), highest], 14, WIDTH - RIGHT, from_zero=False)
    bottom = TOP + (ROW + 18) * len(names)
    parts = grid(horizontal, None, top=TOP, bottom=bottom, label="all stages, ms")
    for index, (name, values) in enumerate(zip(names, times_ms, strict=True)):
        base = TOP + (ROW + 18) * (index + 1)
        counts, edges = np.histogram(values, bins=HISTOGRAM_BINS, range=(horizontal.low, horizontal.high))
        heights = np.sqrt(counts / max(1, counts.max())) * (ROW - 8)  # roots make the tail visible
        outline = " ".join(
            f"V{base - height:.1f}H{horizontal(right)}" for height, right in zip(heights, edges[1:], strict=True)
        )
        parts.append(f'<path class="fill c{index % 6}" d="M{horizontal(edges[0])} {base}{outline}V{base}Z"/>')
        p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
        for percentile, height in ((p50, ROW - 6), (p95, ROW * 0.6), (p99, ROW * 0.35)):
            x = horizontal(min(percentile, horizontal.high))
            parts.append(f'<path class="mark" d="M{x} {base}V{base - height:.1f}"/>')
        parts.append(text(16, base - ROW - 3, name, kind="name"))
        parts.append(
            text(WIDTH - RIGHT, base - ROW - 3, f"{p50:.1f} / {p95:.1f} / {p99:.1f} ms", anchor="end", kind="axis")
        )
    return svg(bottom + BOTTOM, parts, "Distribution of the latency of each artifact")


@dataclass(frozen=True, kw_only=True)
class Dot:
    """An artifact in the plot of AP against latency."""

    color: int
    latency_ms: float
    ap: float


def ap_against_latency(dots: Sequence[Dot]) -> str:
    """A dot for each artifact, better to the upper left. Later dots are smaller, so that none hides another."""
    height = 230
    aps = [dot.ap for dot in dots]
    horizontal = axis([dot.latency_ms for dot in dots], LEFT, WIDTH - RIGHT, from_zero=True)
    vertical = axis([min(aps) - AP_MARGIN, max(aps) + AP_MARGIN], height - BOTTOM, TOP + 20, from_zero=False)
    parts = grid(horizontal, vertical, top=TOP + 20, bottom=height - BOTTOM, label="all stages, median ms")
    parts.append(text(LEFT + 6, TOP + 10, "AP, better to the upper left", kind="axis"))
    for dot in dots:
        x, y, radius = horizontal(dot.latency_ms), vertical(dot.ap), 7 - 0.8 * (dot.color % 6)
        parts.append(f'<circle class="dot c{dot.color % 6}" cx="{x}" cy="{y}" r="{radius:g}"/>')
    return svg(height, parts, "AP against latency of each artifact")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One quantity over time."""

    label: str
    color: int
    times_s: Sequence[float]
    values: Sequence[float | None]
    """None leaves a gap; at least one value is not None."""


def timeline(curves: Sequence[Curve], spans: Sequence[tuple[float, float, int]], events_s: Sequence[float]) -> str:
    """Curves one below the other over one time axis, turns as coloured spans behind them, throttling as red lines."""
    end_s = max(*(end for _, end, _ in spans), *(time for curve in curves for time in curve.times_s))
    horizontal = Axis(low=0, high=end_s, start_px=LEFT, end_px=WIDTH - RIGHT)
    each, gap = 76, 24
    bottom = TOP + len(curves) * (each + gap)
    parts = [
        f'<rect class="span c{color % 6}" x="{horizontal(start)}" y="{TOP}" height="{bottom - TOP}" '
        f'width="{max(0.5, horizontal(end) - horizontal(start)):.1f}"/>'
        for start, end, color in spans
    ]
    parts += grid(horizontal, None, top=TOP, bottom=bottom, label="seconds since the start")
    for index, curve in enumerate(curves):
        top = TOP + index * (each + gap) + gap
        known = [value for value in curve.values if value is not None]
        parts.append(text(LEFT, top - 7, curve.label, kind="name"))
        vertical = axis(known, top + each, top, from_zero=False)
        for tick in (min(known), max(known)):
            parts.append(text(LEFT - 6, vertical(tick) + 4, f"{tick:.3g}", anchor="end"))
        line, pen = "", "M"
        for time, value in zip(curve.times_s, curve.values, strict=True):
            line += "" if value is None else f"{pen}{horizontal(time)} {vertical(value)}"
            pen = "M" if value is None else "L"
        parts.append(f'<path class="line k{curve.color}" d="{line}"/>')
    parts += [f'<path class="event" d="M{horizontal(time)} {TOP}V{bottom}"/>' for time in events_s]
    return svg(bottom + BOTTOM, parts, "Frame rate, temperature, clock and power over time")


def stage_bars(names: Sequence[str], stages_ms: Sequence[Sequence[float]]) -> str:
    """A bar for each artifact: medians of pre, infer and post, one after the other."""
    horizontal = axis([sum(values) for values in stages_ms], 14, WIDTH - RIGHT, from_zero=True)
    each = 40
    bottom = TOP + each * len(names)
    parts = grid(horizontal, None, top=TOP, bottom=bottom, label="medians, ms")
    for index, (name, values) in enumerate(zip(names, stages_ms, strict=True)):
        y, at = TOP + each * index + 18, 0.0
        parts.append(text(16, y - 5, name, kind="name"))
        for stage, value in zip(STAGES, values, strict=True):
            width = horizontal(at + value) - horizontal(at)
            parts.append(f'<rect class="{stage}" x="{horizontal(at)}" y="{y}" width="{width:.1f}" height="14"/>')
            at += value
    return svg(bottom + BOTTOM, parts, "Median time of each stage")
