"""How warm the board is, from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from pathlib import Path

PLAUSIBLE_C = (-40.0, 150.0)
"""Sensors that are switched off report 0, or numbers far outside; no board of ours runs at the ends of this range."""


def temperatures_c(root: Path = Path("/")) -> dict[str, float]:
    """Degrees Celsius by the zone's type, of the zones that say something; of equal types the warmest."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text(encoding="utf-8").strip()
            value = int((zone / "temp").read_text(encoding="utf-8")) / 1e3
        except (OSError, ValueError):  # gone, switched off (EAGAIN on Jetson), or no number
            continue
        if PLAUSIBLE_C[0] < value < PLAUSIBLE_C[1] and value != 0:
            found[name] = max(value, found.get(name, value))
    return found


def warmest_c(root: Path = Path("/")) -> float | None:
    """The warmest zone; None where the board has none that says anything."""
    return max(temperatures_c(root).values(), default=None)
