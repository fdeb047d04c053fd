"""One thing that `tinydet doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, MISSING, NOT_AVAILABLE = "ok", "missing", "not available"
STATES = (OK, MISSING, NOT_AVAILABLE)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, what was seen, and what to do about it."""

    part: str
    """board, runtime, camera, system or sensor."""
    name: str
    state: str
    """`OK`; `MISSING`, where this board needs it; `NOT_AVAILABLE`, where it can be done without."""
    seen: str
    fix: str | None = None
    """A command line, or what to do; None where nothing can be done, or need be."""

    def __post_init__(self) -> None:
        assert self.state in STATES, self.state
