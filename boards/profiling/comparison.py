"""Compares two profiles: changes of time beyond noise, of AP and of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydet.boards.profiling.latency_statistics import ratio_interval
from tinydet.boards.profiling.profile_file import STAGES, file_name, turn_times_ms
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import METRIC_KEYS

CONDITIONS = ("frames", "data", "threads", "sustained")


@dataclass(frozen=True, kw_only=True)
class TimeChange:
    """Change of a stage's median time."""

    before_ms: float
    after_ms: float
    low: float
    """95 % interval of the ratio is `low` to `high`, by bootstrap over rounds and blocks of frames."""
    high: float

    @property
    def ratio(self) -> float:
        """Median after / median before."""
        return self.after_ms / self.before_ms

    @property
    def verdict(self) -> str:
        """`slower` or `faster`; `within noise` if the interval holds 1."""
        if self.low <= 1 <= self.high:
            return "within noise"
        return "slower" if self.ratio > 1 else "faster"


@dataclass(frozen=True, kw_only=True)
class ArtifactChange:
    """Changes of one artifact."""

    artifact: str
    """File name, with its folder where two artifacts have the same name."""
    infer: TimeChange
    total: TimeChange
    points: Mapping[str, float | None]
    """By metric, after minus before, in hundredths; None if a profile lacks it. Detection is deterministic, so every
    difference comes from the artifact, the runtime or the data."""
    peak_memory_mib: tuple[float | None, float | None]
    """Before and after."""

    def failures(self, *, slower_percent: float | None, ap_points: float | None) -> list[str]:
        """A line for each exceeded limit; None: no limit.

        Args:
            slower_percent: allowed growth of the median time of all stages together; noise never fails.
            ap_points: allowed fall of each metric, in hundredths.
        """
        lines = []
        total = self.total
        if slower_percent is not None and total.low > 1 and total.ratio > 1 + slower_percent / 100:
            lines.append(
                f"{self.artifact}: {total.before_ms:.2f} -> {total.after_ms:.2f} ms, {total.ratio - 1:+.1%} "
                f"({total.low - 1:+.1%} to {total.high - 1:+.1%}), allowed {slower_percent:+g} %"
            )
        if ap_points is not None:
            lines += [
                f"{self.artifact}: {metric} {points:+.2f} points, allowed {-ap_points:+g}"
                for metric, points in self.points.items()
                if points is not None and points < -ap_points
            ]
        return lines


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of two profiles."""

    artifacts: tuple[ArtifactChange, ...]
    notes: tuple[str, ...]
    """Other differences, which may explain the changes."""

    def as_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        rows = []
        for change in self.artifacts:
            times = {
                stage: {
                    "before_ms": time.before_ms,
                    "after_ms": time.after_ms,
                    "ratio": time.ratio,
                    "interval": [time.low, time.high],
                    "verdict": time.verdict,
                }
                for stage, time in (("infer", change.infer), ("total", change.total))
            }
            peak = list(change.peak_memory_mib)
            rows.append({"artifact": change.artifact, **times, "points": dict(change.points), "peak_memory_mib": peak})
        return {"artifacts": rows, "notes": list(self.notes)}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two profiles from `read_profile`, artifact by artifact: same path, else same file name.

    Two profiles of one artifact each are compared whatever their names.

    Raises:
        InputError: no artifact is in both profiles, or a profile is damaged.
    """
    pairs, left_out = _pairs(before["artifacts"], after["artifacts"])
    notes = [f"only in one profile: {name}" for name in left_out]
    notes += [
        f"the profile {which} is incomplete"
        for which, one in (("before", before), ("after", after))
        if not one["complete"]
    ]
    differing = {f"machine {key}": (before["machine"][key], after["machine"][key]) for key in before["machine"]}
    differing |= {"power_mode": (before["power_mode"], after["power_mode"])}
    differing |= {key: (before["protocol"][key], after["protocol"][key]) for key in CONDITIONS}
    notes += [f"{key} differs: {old} -> {new}" for key, (old, new) in differing.items() if old != new]
    for old, new in pairs:
        notes += [
            f"{file_name(new)}: {key} differs: {old[key]} -> {new[key]}"
            for key in ("runtime", "device", "provider")
            if old[key] != new[key]
        ]
        for which, row in (("before", old), ("after", new)):
            if len(row["turns"]) == 1:
                notes.append(f"{file_name(row)}: one turn {which}, so the noise between turns is unknown")
    names = [file_name(new) for _, new in pairs]
    labels = [new["artifact"] if names.count(name) > 1 else name for name, (_, new) in zip(names, pairs, strict=True)]
    changes = tuple(_change(label, old, new) for label, (old, new) in zip(labels, pairs, strict=True))
    return Comparison(artifacts=changes, notes=tuple(notes))


def _pairs(before: list[Any], after: list[Any]) -> tuple[list[tuple[Any, Any]], list[str]]:
    if len(before) == len(after) == 1:
        return [(before[0], after[0])], []
    pairs, rest = [], list(after)
    left_out = []
    for old in before:
        same = [new for new in rest if new["artifact"] == old["artifact"]] or [
            new for new in rest if file_name(new) == file_name(old)
        ]
        if same:
            pairs.append((old, same[0]))
            rest.remove(same[0])
        else:
            left_out.append(old["artifact"])
    if not pairs:
        names = (", ".join(file_name(row) for row in rows) for rows in (before, after))
        raise InputError("no artifact is in both profiles: {} against {}".format(*names))
    return pairs, left_out + [new["artifact"] for new in rest]


def _change(label: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> ArtifactChange:
    points: dict[str, float | None] = {}
    if before["accuracy"] is not None and after["accuracy"] is not None:
        for metric in METRIC_KEYS:
            old, new = before["accuracy"][metric], after["accuracy"][metric]
            points[metric] = None if old is None or new is None else (new - old) * 100
    return ArtifactChange(
        artifact=label,
        infer=_time_change(before, after, ("infer",)),
        total=_time_change(before, after, STAGES),
        points=points,
        peak_memory_mib=(before["memory_mib"]["peak"], after["memory_mib"]["peak"]),
    )


def _time_change(before: Mapping[str, Any], after: Mapping[str, Any], stages: tuple[str, ...]) -> TimeChange:
    old, new = (turn_times_ms(row, stages) for row in (before, after))
    low, high = ratio_interval(old, new)
    return TimeChange(
        before_ms=float(np.median(np.concatenate(old))),
        after_ms=float(np.median(np.concatenate(new))),
        low=low,
        high=high,
    )
