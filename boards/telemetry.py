"""Reads power, temperature, clocks, throttling, load and memory of a board, from the kernel and the vendor's tools.

A value that the board lacks or that cannot be read is None, never zero, and is named by `Reading.missing`.

Sources. Jetson: INA3221 and INA238 power monitors (hwmon), devfreq for the GPU, `nvpmodel -q`. Raspberry Pi: `vcgencmd
get_throttled`, `measure_clock arm`; it has no sensor for the whole board's power. Intel: RAPL (powercap; readable by
root only on most kernels), the NPU's busy time. All: thermal zones, cpufreq, /proc/stat, /proc/meminfo.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinydet.boards.system_files import read_text
from tinydet.edge.temperature import zones_c
from tinydet.edge.vendor_tools import RunTool, jetson_power_mode, run_tool

TOTAL_RAILS = ("VIN", "VDD_IN", "POM_5V_IN", "psys")
"""Rails that feed the whole board; the first one found counts."""

_GPU_DEVICES = re.compile(r"gpu|ga10b|gv11b|gp10b|v3d")

_THROTTLE_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of `vcgencmd get_throttled` for now; 16 bits higher: since boot."""


@dataclass(frozen=True, kw_only=True)
class Throttling:
    """Reasons for throttling, for example `under-voltage`."""

    now: tuple[str, ...]
    since_start: tuple[str, ...]
    """Since boot."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Values of all sensors. Loads, and power that is counted as energy, are means since the reading before."""

    power_mw: Mapping[str, float | None]
    """By rail."""
    temperatures_c: Mapping[str, float | None]
    """By thermal zone."""
    clocks_mhz: Mapping[str, float | None]
    """Current clocks by cpu0, cpu1, ... and gpu."""
    cpu_load_percent: float | None
    """Mean of all cores, 0 to 100."""
    gpu_load_percent: float | None
    npu_load_percent: float | None
    memory_used_mib: float | None
    memory_total_mib: float | None
    power_mode: str | None
    """On a Jetson."""
    throttling: Throttling | None
    """On a Raspberry Pi."""

    @property
    def total_power_mw(self) -> float | None:
        """Power of the whole board; None if no rail feeds all of it (an Intel package is only a part)."""
        return next((self.power_mw[rail] for rail in TOTAL_RAILS if rail in self.power_mw), None)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of missing quantities, and of sensors that exist but cannot be read."""
        groups = {"power": self.power_mw, "temperature": self.temperatures_c, "clock": self.clocks_mhz}
        named = [name for name, sensors in groups.items() if not sensors]
        named += [
            f"{group} {name}" for group, sensors in groups.items() for name, value in sensors.items() if value is None
        ]
        single = {
            "total power": self.total_power_mw,
            "CPU load": self.cpu_load_percent,
            "GPU load": self.gpu_load_percent,
            "NPU load": self.npu_load_percent,
            "memory": self.memory_used_mib,
            "power mode": self.power_mode,
            "throttling": self.throttling,
        }
        return (*named, *(name for name, value in single.items() if value is None))


@dataclass(frozen=True, kw_only=True)
class _Counters:
    """Counters, of which only differences are meaningful."""

    time_s: float
    cpu_ticks: tuple[float, float] | None
    """Busy and all ticks."""
    npu_busy_us: float | None
    energy_uj: Mapping[str, float | None]


class Telemetry:
    """Reader of the board's sensors.

    Args:
        root: folder that the paths of the sensors start at.
        run: runs the vendors' tools.
        clock: clock in seconds.
    """

    def __init__(
        self, root: Path = Path("/"), run: RunTool = run_tool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._run = run
        self._clock = clock
        self._before = self._counters()

    def read(self) -> Reading:
        """Read all sensors. Broken or vanished ones are None; nothing is raised."""
        before, self._before = self._before, self._counters()
        used_mib, total_mib = self._memory_mib()
        return Reading(
            power_mw={**self._monitored_mw(), **self._counted_mw(before, self._before)},
            temperatures_c=zones_c(self._root),
            clocks_mhz=self._clocks_mhz(),
            cpu_load_percent=_cpu_load_percent(before, self._before),
            gpu_load_percent=self._gpu_load_percent(),
            npu_load_percent=_npu_load_percent(before, self._before),
            memory_used_mib=used_mib,
            memory_total_mib=total_mib,
            power_mode=jetson_power_mode(self._run),
            throttling=self._throttling(),
        )

    def _counters(self) -> _Counters:
        match = re.match(r"cpu +([0-9]{1,20}(?: [0-9]{1,20}){4,})$", read_text(self._root / "proc/stat"), re.MULTILINE)
        ticks = [] if match is None else [float(text) for text in match[1].split()[:8]]
        return _Counters(
            time_s=self._clock(),
            # ticks: user nice system idle iowait irq softirq steal
            cpu_ticks=(sum(ticks) - ticks[3] - ticks[4], sum(ticks)) if ticks else None,
            npu_busy_us=_read_number(self._root / "sys/class/accel/accel0/device/npu_busy_time_us"),
            energy_uj={name: _read_number(zone / "energy_uj") for name, zone in self._energy_zones().items()},
        )

    def _energy_zones(self) -> dict[str, Path]:
        """RAPL's domains by name; those with two numbers in their path are parts of others."""
        zones = sorted((self._root / "sys/class/powercap").glob("intel-rapl:*"))
        return {read_text(zone / "name"): zone for zone in zones if zone.name.count(":") == 1}

    def _counted_mw(self, before: _Counters, after: _Counters) -> dict[str, float | None]:
        power_mw: dict[str, float | None] = {}
        for name, zone in self._energy_zones().items():
            start, end, seconds = before.energy_uj.get(name), after.energy_uj.get(name), after.time_s - before.time_s
            power_mw[name] = None
            if start is None or end is None or seconds <= 0:
                continue
            if end < start:  # the counter has wrapped around
                end += _read_number(zone / "max_energy_range_uj") or (start - end)
            power_mw[name] = (end - start) / seconds / 1e3
        return power_mw

    def _monitored_mw(self) -> dict[str, float | None]:
        """Power monitors of Texas Instruments: INA3221 gives volts and amperes of three rails, INA238 power of one."""
        power_mw: dict[str, float | None] = {}
        for device in sorted((self._root / "sys/bus/i2c/devices").glob("*")):
            chip = read_text(device / "name")
            for hwmon in sorted((device / "hwmon").glob("hwmon*")):
                if chip == "ina238":
                    label = read_text(hwmon / "in1_label") or f"ina238 {device.name}"
                    power_mw[label] = _read_number(hwmon / "power1_input", 1e3)
                elif chip == "ina3221":
                    for k in range(1, 4):
                        label = read_text(hwmon / f"in{k}_label")
                        if label in ("", "NC"):  # not connected
                            continue
                        millivolts = _read_number(hwmon / f"in{k}_input")
                        milliamperes = _read_number(hwmon / f"curr{k}_input")
                        power_mw[label] = None
                        if millivolts is not None and milliamperes is not None:
                            power_mw[label] = millivolts * milliamperes / 1e3
        return power_mw

    def _clocks_mhz(self) -> dict[str, float | None]:
        clocks_mhz: dict[str, float | None] = {}
        cores = (self._root / "sys/devices/system/cpu").glob("cpu[0-9]*")
        for core in sorted(cores, key=lambda path: int(re.sub(r"\D", "", path.name))):
            if (core / "cpufreq").is_dir():
                clocks_mhz[core.name] = _read_number(core / "cpufreq/scaling_cur_freq", 1e3)
        gpu = self._gpu()
        if gpu is not None:
            clocks_mhz["gpu"] = _read_number(gpu / "cur_freq", 1e6)
        if not any(name.startswith("cpu") for name in clocks_mhz):
            answer = self._run(["vcgencmd", "measure_clock", "arm"]) or ""
            match = re.fullmatch(r"frequency\([0-9]+\)=([0-9]{1,20})\s*", answer)
            if match is not None:
                clocks_mhz["cpu"] = int(match[1]) / 1e6
        return clocks_mhz

    def _gpu(self) -> Path | None:
        devices = sorted((self._root / "sys/class/devfreq").glob("*"))
        return next((device for device in devices if _GPU_DEVICES.search(device.name)), None)

    def _gpu_load_percent(self) -> float | None:
        gpu = self._gpu()
        percent = None if gpu is None else _read_number(gpu / "device/load", 10)
        return None if percent is None or not 0 <= percent <= 100 else percent

    def _memory_mib(self) -> tuple[float | None, float | None]:
        text = read_text(self._root / "proc/meminfo")
        kib = dict(re.findall(r"^(MemTotal|MemAvailable):\s+([0-9]{1,20}) kB$", text, re.MULTILINE))
        if len(kib) < 2:
            return None, None
        total, available = int(kib["MemTotal"]), int(kib["MemAvailable"])
        return (total - available) / 1024, total / 1024

    def _throttling(self) -> Throttling | None:
        match = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,16})\s*", self._run(["vcgencmd", "get_throttled"]) or "")
        if match is None:
            return None
        bits = int(match[1], 16)
        now, since_start = (
            tuple(name for bit, name in _THROTTLE_BITS.items() if bits >> (bit + shift) & 1) for shift in (0, 16)
        )
        return Throttling(now=now, since_start=since_start)


def _cpu_load_percent(before: _Counters, after: _Counters) -> float | None:
    if before.cpu_ticks is None or after.cpu_ticks is None:
        return None
    busy, ticks = (new - old for new, old in zip(after.cpu_ticks, before.cpu_ticks, strict=True))
    return 100 * busy / ticks if ticks > 0 and 0 <= busy <= ticks else None


def _npu_load_percent(before: _Counters, after: _Counters) -> float | None:
    if before.npu_busy_us is None or after.npu_busy_us is None:
        return None
    seconds, busy_us = after.time_s - before.time_s, after.npu_busy_us - before.npu_busy_us
    return min(100.0, busy_us / seconds / 1e4) if seconds > 0 and busy_us >= 0 else None


def _read_number(path: Path, unit: float = 1) -> float | None:
    """A whole number, divided by `unit`; the kernel's files hold no others."""
    text = read_text(path)
    return float(text) / unit if re.fullmatch(r"-?[0-9]{1,20}", text) else None
