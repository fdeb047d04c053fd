"""Chooses the artifact to fly, from a profile of the board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinydet.boards.profiling.profile_file import average_precision
from tinydet.edge.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of an artifact's figures; None: no limit."""

    min_fps: float | None = None
    min_ap: float | None = None
    """0 to 1."""
    max_watt: float | None = None
    """Mean power of the whole board, watts."""

    def __post_init__(self) -> None:
        for name in ("min_fps", "min_ap", "max_watt"):
            value = getattr(self, name)
            if value is not None and not (0 < value < float("inf")):
                raise InputError(f"--{name.replace('_', '-')}: expected more than 0, got {value}")
        if self.min_ap is not None and self.min_ap > 1:
            raise InputError(f"--min-ap: expected 0 to 1, got {self.min_ap:g}")


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The chosen artifact, or the reason for choosing none."""

    artifact: str | None
    reason: str
    misses: Mapping[str, tuple[str, ...]]
    """By rejected artifact: the limits it misses, and by how much."""

    def as_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        misses = {name: list(lines) for name, lines in self.misses.items()}
        return {"artifact": self.artifact, "reason": self.reason, "misses": misses}


def recommend(profile: Mapping[str, Any], limits: Limits) -> Recommendation:
    """Choose the artifact with the best AP within `limits`, the faster of equal ones; without AP the fastest.

    `profile` is from `read_profile`. A sustained one counts with the frame rate of its last tenth, when the board is
    hot.

    Raises:
        InputError: a limit of a figure that was not measured.
    """
    rows = profile["artifacts"]
    if limits.min_ap is not None and all(average_precision(row) is None for row in rows):
        raise InputError("--min-ap: no AP in this profile: measure with `tinydet profile --data DATA`")
    if limits.max_watt is not None and all(row["sensors"]["power_w"] is None for row in rows):
        raise InputError("--max-watt: no power in this profile: the board has no sensor for its whole power")
    misses = {row["artifact"]: tuple(_misses(row, limits)) for row in rows}
    kept = [row for row in rows if not misses[row["artifact"]]]
    misses = {name: lines for name, lines in misses.items() if lines}
    if not kept:
        return Recommendation(artifact=None, reason="no artifact is within all limits", misses=misses)
    best = max(kept, key=lambda row: (average_precision(row) or 0.0, _fps(row)))
    if average_precision(best) is None:
        reason = f"fastest of {len(kept)}, {_fps(best):.1f} frames per second (AP was not measured)"
    else:
        reason = f"best AP of {len(kept)}, {average_precision(best):.3f}, at {_fps(best):.1f} frames per second"
    return Recommendation(artifact=best["artifact"], reason=reason, misses=misses)


def _misses(row: Mapping[str, Any], limits: Limits) -> list[str]:
    ap, watt = average_precision(row), row["sensors"]["power_w"]
    lines = []
    if limits.min_fps is not None and _fps(row) < limits.min_fps:
        lines.append(f"{_fps(row):.1f} frames per second, {limits.min_fps - _fps(row):.1f} below {limits.min_fps:g}")
    if limits.min_ap is not None and (ap is None or ap < limits.min_ap):
        lines.append(
            "AP was not measured" if ap is None else f"AP {ap:.3f}, {limits.min_ap - ap:.3f} below {limits.min_ap:g}"
        )
    if limits.max_watt is not None and (watt is None or watt > limits.max_watt):
        known = "" if watt is None else f"{watt:.2f} W, {watt - limits.max_watt:.2f} above {limits.max_watt:g}"
        lines.append(known or "power was not measured")
    return lines


def _fps(row: Mapping[str, Any]) -> float:
    fps: float = row["frames_per_s"] if row["heat"] is None else row["heat"]["last_frames_per_s"]
    return fps
