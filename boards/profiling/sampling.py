"""Looks at the board's sensors while something else runs."""

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
    """One look; what the board does not say is None."""

    time_s: float
    """On the system's monotonic clock in the sampler, since the start of the measurement in a profile."""
    power_w: float | None
    """Of the whole board."""
    temperature_c: float | None
    """The warmest zone."""
    clock_mhz: float | None
    """Mean of the CPU's cores."""
    gpu_clock_mhz: float | None
    cpu_load_percent: float | None
    memory_used_mib: float | None
    throttled: tuple[str, ...] | None
    """What holds the board back now."""


@dataclass(frozen=True, kw_only=True)
class ThrottlingEvent:
    """The board began to hold back."""

    time_s: float
    what: str


class Sampler:
    """Samples in a thread of its own between `with` and its end.

    Args:
        telemetry: what to ask.
        interval_s: how often.
    """

    def __init__(self, telemetry: Telemetry, interval_s: float) -> None:
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self.readings: list[tuple[float, Reading]] = []

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
    """What a profile keeps of a reading."""
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
    """Every beginning, also of what came and went between two looks; None where the board never says.

    The flags since the start of the board tell of the latter, once each.
    """
    known = [(time_s, reading.throttling) for time_s, reading in readings if reading.throttling is not None]
    if not known:
        return None
    events = [ThrottlingEvent(time_s=known[0][0], what=what) for what in known[0][1].now]
    for (_, before), (time_s, after) in itertools.pairwise(known):
        begun = [what for what in after.now if what not in before.now]
        missed = [what for what in after.since_start if what not in (*before.since_start, *after.now)]
        events += [ThrottlingEvent(time_s=time_s, what=what) for what in (*begun, *missed)]
    return events
