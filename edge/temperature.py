"""Temperature of the board, from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from pathlib import Path

PLAUSIBLE_C = (-40.0, 150.0)
"""Range of readings to believe: sensors that are switched off report 0 or numbers far outside."""


def zones_c(root: Path = Path("/")) -> dict[str, float | None]:
    """Read degrees Celsius by zone type, the warmest of equal types; None for a zone without a believable reading."""
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
    """Read the warmest zone in degrees Celsius; None without any believable reading."""
    return max((value for value in zones_c(root).values() if value is not None), default=None)


def _degrees_c(path: Path) -> float | None:
    try:
        millidegrees = int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # gone, switched off (EAGAIN on Jetson), or no number
        return None
    plausible = PLAUSIBLE_C[0] * 1e3 < millidegrees < PLAUSIBLE_C[1] * 1e3 and millidegrees != 0
    return millidegrees / 1e3 if plausible else None
