"""How warm the board is, from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from pathlib import Path

PLAUSIBLE_C = (-40.0, 150.0)
"""Sensors that are switched off report 0, or numbers far outside; no board of ours runs at the ends of this range."""


def zones_c(root: Path = Path("/")) -> dict[str, float | None]:
    """Degrees Celsius by the zone's type, None for a zone that says nothing; of equal types the warmest."""
    found: dict[str, float | None] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            continue
        known = [value for value in (found.get(name), _degrees_c(zone / "temp")) if value is not None]
        found[name] = max(known, default=None)
    return found


def warmest_c(root: Path = Path("/")) -> float | None:
    """The warmest zone; None where the board has none that says anything."""
    return max((value for value in zones_c(root).values() if value is not None), default=None)


def _degrees_c(path: Path) -> float | None:
    try:
        millidegrees = int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # gone, switched off (EAGAIN on Jetson), or no number
        return None
    plausible = PLAUSIBLE_C[0] * 1e3 < millidegrees < PLAUSIBLE_C[1] * 1e3 and millidegrees != 0
    return millidegrees / 1e3 if plausible else None
