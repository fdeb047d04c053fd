"""One finding of `tinydet doctor`."""

from __future__ import annotations

from dataclasses import dataclass

OK, MISSING, NOT_AVAILABLE = "ok", "missing", "not available"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """State of one part of the board, and how to improve it."""

    part: str
    """board, runtime, camera, system or sensor."""
    name: str
    state: str
    """`OK`; `MISSING`: this board needs it; `NOT_AVAILABLE`: the board works without it."""
    seen: str
    """Observation in a few words."""
    fix: str | None = None
    """Command line or advice; None if there is nothing to do."""
