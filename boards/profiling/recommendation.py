"""Which artifact to fly, from what was measured on this board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinydet.edge.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an artifact must keep; None: anything goes."""

    min_fps: float | None = None
    min_ap: float | None = None
    """0 to 1."""
    max_watt: float | None = None
    """Mean of the whole board."""

    def __post_init__(self) -> None:
        for name in ("min_fps", "min_ap", "max_watt"):
            value = getattr(self, name)
            if value is not None and not (0 < value < float("inf")):
                raise InputError(f"--{name.replace('_', '-')}: expected more than 0, got {value}")
        if self.min_ap is not None and self.min_ap > 1:
            raise InputError(f"--min-ap: expected 0 to 1, got {self.min_ap:g}")


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The artifact to fly, or why there is none."""

    artifact: str | None
    reason: str
    misses: Mapping[str, tuple[str, ...]]
    """By artifact that does not keep the limits: which and by how much."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
        misses = {name: list(lines) for name, lines in self.misses.items()}
        return {"artifact": self.artifact, "reason": self.reason, "misses": misses}


def recommend(profile: Mapping[str, Any], limits: Limits) -> Recommendation:
    """The artifact of the best AP among those that keep `limits`, of equal ones the fastest; without AP the fastest.

    `profile` is what `read_profile` gives. In a sustained one the frames a second are those of its end: hot.

    Raises:
        InputError: a limit on something that was not measured.
    """
    rows = profile["artifacts"]
    if limits.min_ap is not None and all(_ap(row) is None for row in rows):
        raise InputError("--min-ap: no AP in this profile: measure with `tinydet profile --data DATA`")
    if limits.max_watt is not None and all(row["sensors"]["power_w"] is None for row in rows):
        raise InputError("--max-watt: no power in this profile: this board has no sensor for all it draws")
    misses = {row["artifact"]: tuple(_misses(row, limits)) for row in rows}
    kept = [row for row in rows if not misses[row["artifact"]]]
    misses = {name: lines for name, lines in misses.items() if lines}
    if not kept:
        return Recommendation(artifact=None, reason="no artifact keeps all limits", misses=misses)
    best = max(kept, key=lambda row: (_ap(row) or 0.0, _fps(row)))
    if _ap(best) is None:
        reason = f"the fastest of {len(kept)}: {_fps(best):.1f} frames a second (AP was not measured)"
    else:
        reason = f"the best AP of {len(kept)}: {_ap(best):.3f} at {_fps(best):.1f} frames a second"
    return Recommendation(artifact=best["artifact"], reason=reason, misses=misses)


def _misses(row: Mapping[str, Any], limits: Limits) -> list[str]:
    ap, watt = _ap(row), row["sensors"]["power_w"]
    lines = []
    if limits.min_fps is not None and _fps(row) < limits.min_fps:
        lines.append(f"{_fps(row):.1f} frames a second, {limits.min_fps - _fps(row):.1f} below {limits.min_fps:g}")
    if limits.min_ap is not None and (ap is None or ap < limits.min_ap):
        lines.append("AP not known" if ap is None else f"AP {ap:.3f}, {limits.min_ap - ap:.3f} below {limits.min_ap:g}")
    if limits.max_watt is not None and (watt is None or watt > limits.max_watt):
        known = "" if watt is None else f"{watt:.2f} W, {watt - limits.max_watt:.2f} above {limits.max_watt:g}"
        lines.append(known or "power not known")
    return lines


def _fps(row: Mapping[str, Any]) -> float:
    fps: float = row["frames_per_s"] if row["heat"] is None else row["heat"]["last_frames_per_s"]
    return fps


def _ap(row: Mapping[str, Any]) -> float | None:
    ap: float | None = None if row["accuracy"] is None else row["accuracy"]["AP"]
    return ap
