"""Samples the board's sensors in a thread, while artifacts are measured."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinydet.boards.telemetry import Reading, Telemetry


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Sensor values at one time; None: not available."""

    time_s: float
    """Seconds since the start of the measurement."""
    power_w: float | None
    """Power of the whole board."""
    temperature_c: float | None
    """Warmest thermal zone."""
    clock_mhz: float | None
    """Mean of the CPU cores."""
    gpu_clock_mhz: float | None
    cpu_load_percent: float | None
    memory_used_mib: float | None
    throttled: tuple[str, ...] | None
    """Reasons for throttling that are active; None if the board does not report them."""


@dataclass(frozen=True, kw_only=True)
class ThrottlingEvent:
    """Start of throttling."""

    time_s: float
    what: str
    """Reason, for example `under-voltage`."""


class Sampler:
    """Samples in a thread of its own; a context manager.

    Args:
        telemetry: the board's sensors.
        interval_s: seconds between samples.
    """

    def __init__(self, telemetry: Telemetry, interval_s: float) -> None:
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self.readings: list[tuple[float, Reading]] = []
        """Time on the system's monotonic clock, and reading."""

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.readings.append((time.monotonic(), self._telemetry.read()))
            if self._end.wait(self._interval_s):
                return


def sample(time_s: float, reading: Reading) -> Sample:
    """The part of a reading that a profile keeps."""
    power_mw = reading.total_power_mw
    known_c = [value for value in reading.temperatures_c.values() if value is not None]
    cpu_mhz = [value for name, value in reading.clocks_mhz.items() if name.startswith("cpu") and value is not None]
    return Sample(
        time_s=round(time_s, 3),
        power_w=None if power_mw is None else power_mw / 1e3,
        temperature_c=max(known_c, default=None),
        clock_mhz=float(np.mean(cpu_mhz)) if cpu_mhz else None,
        gpu_clock_mhz=reading.clocks_mhz.get("gpu"),
        cpu_load_percent=reading.cpu_load_percent,
        memory_used_mib=reading.memory_used_mib,
        throttled=None if reading.throttling is None else reading.throttling.now,
    )


def throttling_events(readings: Sequence[tuple[float, Reading]]) -> list[ThrottlingEvent] | None:
    """Starts of throttling; None if the board never reports throttling.

    The flags since boot reveal throttling that came and went between two samples, once for each reason.
    """
    known = [(time_s, reading.throttling) for time_s, reading in readings if reading.throttling is not None]
    if not known:
        return None
    events = [ThrottlingEvent(time_s=known[0][0], what=what) for what in known[0][1].now]
    for (_, before), (time_s, after) in itertools.pairwise(known):
        started = [what for what in after.now if what not in before.now]
        missed = [what for what in after.since_start if what not in (*before.since_start, *after.now)]
        events += [ThrottlingEvent(time_s=time_s, what=what) for what in (*started, *missed)]
    return events
