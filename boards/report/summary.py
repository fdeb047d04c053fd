"""Figures and protocol of a profile as text, for the terminal and the HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinydet.boards.profiling.latency_statistics import time_ratio
from tinydet.boards.profiling.profile_file import file_name, turn_times_ms
from tinydet.edge.commands.terminal import metric_text
from tinydet.edge.evaluation.average_precision import METRIC_KEYS

DIFFERING_ROUNDS = 1.1
"""Ratio of an artifact's slowest round to its fastest, by median, above which the protocol mentions them."""

_PERCENTILE_LINES = (("p50_ms", "p90_ms"), ("p95_ms", "p99_ms"))
_SENSORS = (
    ("power, W", "power_w", 2),
    ("energy, J per frame", "joules_per_frame", 3),
    ("highest temperature, °C", "max_temperature_c", 1),
    ("throttling events", "throttling_events", 0),
)


class Figure(NamedTuple):
    """One line of the table of figures."""

    name: str
    texts: list[str]
    """One for each artifact."""
    ends_group: bool = False


def number_text(value: float | None, digits: int) -> str:
    """A number with that many digits after the point; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def figures(profile: Mapping[str, Any]) -> list[Figure]:
    """Figures of `Profile.as_dict()`, in the order of the table."""
    artifacts = profile["artifacts"]
    sizes = [row["size_bytes"] for row in artifacts]
    lines = [
        Figure("precision", [row["precision"] for row in artifacts]),
        Figure("runtime", [row["runtime"].replace(" ", "\n") for row in artifacts]),
        Figure("file, MB", [number_text(None if size is None else size / 1e6, 1) for size in sizes], ends_group=True),
    ]
    if any(row["accuracy"] for row in artifacts):
        for key in METRIC_KEYS:
            texts = [metric_text((row["accuracy"] or {}).get(key)) for row in artifacts]
            lines.append(Figure(key, texts, ends_group=key == METRIC_KEYS[-1]))
    for stage in ("pre", "infer", "post", "total"):
        texts = [_percentiles_text(row["stages"][stage]) for row in artifacts]
        lines.append(Figure(f"{stage}, ms p50 / p90\np95 / p99", texts))
    if len(artifacts) > 1:
        first = turn_times_ms(artifacts[0], ["infer"])
        texts = [f"{time_ratio(first, turn_times_ms(row, ['infer'])):.2f}" for row in artifacts]
        lines.append(Figure("infer, ratio to the first\n(fastest rounds)", texts))
    lines.append(Figure("frames per second, end to end", [f"{row['frames_per_s']:.1f}" for row in artifacts]))
    if profile["protocol"]["sustained"]:
        heat = [row["heat"] for row in artifacts]
        texts = [f"{h['first_frames_per_s']:.1f} -> {h['last_frames_per_s']:.1f}" for h in heat]
        lines.append(Figure("frames per second, first -> last tenth", texts))
    lines.append(Figure("objects per frame", [f"{row['objects_per_frame']:.1f}" for row in artifacts], ends_group=True))
    texts = [f"{row['load_ms']:.0f} / {row['first_result_ms']:.0f}" for row in artifacts]
    lines.append(Figure("load / first result, ms", texts))
    memory = [row["memory_mib"] for row in artifacts]
    texts = [f"{number_text(m['steady'], 0)} / {number_text(m['peak'], 0)}" for m in memory]
    lines.append(Figure("memory, MiB steady / peak", texts))
    for name, key, digits in _SENSORS:
        values = [row["sensors"][key] for row in artifacts]
        texts = ["not available" if value is None else number_text(value, digits) for value in values]
        lines.append(Figure(name, texts))
    return lines


def protocol_lines(profile: Mapping[str, Any]) -> list[str]:
    """Sentences on how `Profile.as_dict()` was measured, warnings among them."""
    machine, protocol, rows = profile["machine"], profile["protocol"], profile["artifacts"]
    runtimes = sorted({f"{row['runtime']} ({row['provider']})" for row in rows})
    rounds = protocol["rounds_interleaved"]
    turns = "in one turn, artifacts one after the other" if protocol["sustained"] else f"in {rounds} interleaved rounds"
    lines = [
        f"on {machine['name']}, {machine['cores']} cores, {machine['architecture']}, {machine['system']}; "
        + ", ".join(runtimes),
        f"frames: {protocol['frames']}; threads: {protocol['threads'] or 'chosen by the runtime'}, no spinning; "
        "batch 1",
        f"{protocol['seconds_per_artifact']:g} s per artifact {turns}; each turn is a separate process, one at a time; "
        f"warm-up: {protocol['warm_up']}",
        f"timed: {protocol['timed']}; load and first result: median of the turns, with files in the system's cache",
        "memory: resident memory of the whole process; peak: the highest of all turns",
    ]
    if not profile["complete"]:
        counts = ", ".join(f"{file_name(row)} {len(row['turns'])}" for row in rows)
        lines.insert(0, f"incomplete: the measurement broke off; turns done, of {rounds}: {counts}")
    unsteady = [file_name(row) for row in rows if not row["steady"]]
    if unsteady:
        lines.append(f"still drifting after the warm-up (busy machine, or heat): {', '.join(unsteady)}")
    differing = [line for row in rows if (line := _differing_rounds(row))]
    if differing:
        lines.append(f"rounds differ (busy machine, or heat); fastest and slowest infer p50: {', '.join(differing)}")
    if profile["not_available"]:
        lines.append(f"not available on this board: {', '.join(profile['not_available'])}")
    return lines


def _percentiles_text(stage: Mapping[str, float]) -> str:
    return "\n".join(f"{_ms(stage[left])} / {_ms(stage[right])}" for left, right in _PERCENTILE_LINES)


def _differing_rounds(row: Mapping[str, Any]) -> str:
    """Lowest and highest median of the rounds; empty if they are alike."""
    medians_ms = [float(np.median(values)) for values in turn_times_ms(row, ["infer"])]
    low, high = min(medians_ms), max(medians_ms)
    return f"{file_name(row)} {_ms(low)} and {_ms(high)} ms" if high > DIFFERING_ROUNDS * low else ""


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
