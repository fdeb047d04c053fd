"""Finds the board's sensors, and reads their values."""

from __future__ import annotations

from collections.abc import Mapping

from tinydet.boards.board import Board
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.boards.telemetry import Reading


def sensor_findings(board: Board | None, reading: Reading) -> list[Finding]:
    """A finding for each sensor that the board should have or that can be read.

    No sensor is needed for detection, so a missing one is not available; throttling that is active is a finding to fix.
    """
    expected = board.telemetry if board else ()
    throttling, fix = reading.throttling, None
    texts = {
        "memory": _memory_text(reading),
        "temperature": _temperature_text(reading.temperatures_c),
        "clock": _clock_text(reading.clocks_mhz),
        "power": _power_text(reading),
        "power mode": reading.power_mode,
        "throttling": None,
    }
    if throttling is not None:
        now, since_boot = (", ".join(names) or "none" for names in (throttling.now, throttling.since_start))
        texts["throttling"] = f"now: {now}; since boot: {since_boot}"
        fix = "a power supply that holds 5 V under load, and a fan" if throttling.now else None
    findings = []
    for name, text in texts.items():
        if text is None and name in expected:
            findings.append(Finding(part="sensor", name=name, state=NOT_AVAILABLE, seen="not available"))
        elif text is not None:
            to_fix = fix if name == "throttling" else None
            state = OK if to_fix is None else MISSING
            findings.append(Finding(part="sensor", name=name, state=state, seen=text, fix=to_fix))
    return findings


def _memory_text(reading: Reading) -> str | None:
    if reading.memory_used_mib is None or reading.memory_total_mib is None:
        return None
    return f"{reading.memory_total_mib - reading.memory_used_mib:.0f} of {reading.memory_total_mib:.0f} MiB free"


def _temperature_text(temperatures_c: Mapping[str, float | None]) -> str | None:
    warmest = _highest(temperatures_c)
    return None if warmest is None else f"{warmest[1]:.0f} °C ({warmest[0]}, the warmest)"


def _clock_text(clocks_mhz: Mapping[str, float | None]) -> str | None:
    fastest = _highest({name: value for name, value in clocks_mhz.items() if name != "gpu"})
    gpu = clocks_mhz.get("gpu")
    parts = ([f"CPU {fastest[1]:.0f} MHz"] if fastest else []) + ([f"GPU {gpu:.0f} MHz"] if gpu is not None else [])
    return ", ".join(parts) or None


def _power_text(reading: Reading) -> str | None:
    if reading.total_power_mw is not None:
        return f"{reading.total_power_mw / 1e3:.1f} W, the whole board"
    known = [f"{name} {value / 1e3:.1f} W" for name, value in reading.power_mw.items() if value is not None]
    return ", ".join(known) or None


def _highest(values: Mapping[str, float | None]) -> tuple[str, float] | None:
    known = [(name, value) for name, value in values.items() if value is not None]
    return max(known, key=lambda pair: pair[1], default=None)
