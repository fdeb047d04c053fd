"""What works on this board, what is missing, and what to do about it. Looks only: nothing is changed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinydet.boards.board import Board, recognize
from tinydet.boards.doctor.cameras import camera_checks
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Check
from tinydet.boards.doctor.runtime_trial import Answer, probe, probed_endings
from tinydet.boards.machine import this_machine
from tinydet.boards.telemetry import Reading, Telemetry
from tinydet.edge.files import RESERVE_BYTES
from tinydet.edge.vendor_tools import RunTool, run_tool

DEADLINE_S = 14.0
"""For all runtimes together; the rest takes a second or two."""

#: Runtime, as the profiles name it -> ending of its files, what installs it.
RUNTIMES = {
    "onnxruntime": ("onnx", "pip install 'tinydet[onnxruntime]'"),
    "openvino": ("xml", "pip install 'tinydet[openvino]'"),
    "tflite": ("tflite", "pip install 'tinydet[tflite]'"),
    "tensorrt": ("engine", "sudo apt install nvidia-jetpack"),
}

#: 32-bit Arm has wheels of one runtime, for these releases of Python (tflite-runtime 2.14.0, the last one).
ARMV7_PYTHONS = ((3, 10), (3, 11))

NPU = Path("dev/accel/accel0")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What `tinydet doctor` found."""

    board: Board | None
    """None where no profile matches."""
    machine: str
    """Its own name."""
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing that this board needs."""
        return all(check.state != MISSING for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "board": None if self.board is None else self.board.name,
            "machine": self.machine,
            "ready": self.ready,
            "checks": [asdict(check) for check in self.checks],
        }


def examine(root: Path = Path("/"), run: RunTool = run_tool, architecture: str | None = None) -> Findings:
    """Look at the board whose files lie below `root`, and try the runtimes of this Python; 20 s at most."""
    board = recognize(root, architecture)
    telemetry = Telemetry(root, run)  # power that is counted as energy is its mean while the runtimes run
    runtimes = runtime_checks(board, try_runtimes(probed_endings(), DEADLINE_S))
    machine = this_machine(root)
    checks = (
        _board_check(board, machine.name, architecture or machine.architecture),
        *runtimes,
        *camera_checks(root, run),
        python_check(architecture or machine.architecture),
        *_npu_checks(board, root),
        _disk_check(Path.cwd()),
        *sensor_checks(board, telemetry.read()),
    )
    return Findings(board=board, machine=machine.name, checks=checks)


def try_runtimes(endings: Iterable[str], deadline_s: float) -> dict[str, list[tuple[str | None, Answer]]]:
    """By ending: the device that was asked for (None: the runtime's usual one) and what came of it."""
    end_s = time.monotonic() + deadline_s
    with ThreadPoolExecutor(max_workers=8) as pool:
        first = {ending: pool.submit(probe, ending, None, deadline_s) for ending in endings}
        further = {}
        for ending, future in first.items():
            answer = future.result()
            for device in answer.devices[1:]:
                further[ending, device] = pool.submit(probe, ending, device, end_s - time.monotonic())
        found: dict[str, list[tuple[str | None, Answer]]] = {key: [(None, job.result())] for key, job in first.items()}
        for (ending, device), job in further.items():
            found[ending].append((device, job.result()))
    return found


def runtime_checks(board: Board | None, answers: Mapping[str, Sequence[tuple[str | None, Answer]]]) -> list[Check]:
    """A line for each runtime that this board can use or that is installed, in the board's order of preference.

    The first of the board's runtimes is needed. On an unknown board any one will do.
    """
    order = [*(board.runtimes if board else ()), *RUNTIMES]
    works = any(answer.error is None for tried in answers.values() for _, answer in tried)
    checks = []
    for name in dict.fromkeys(order):
        ending, install = RUNTIMES[name]
        needed = name == board.runtimes[0] if board else not works
        bad = MISSING if needed else NOT_AVAILABLE
        for device, answer in answers.get(ending, ()):
            title = name if device is None else f"{name}, {device}"
            if answer.error is None:
                seen = f"{answer.runtime}, {answer.provider}: {answer.images} images of a test model, all answers right"
                checks.append(Check(part="runtime", name=title, state=OK, seen=seen))
            elif answer.installed:
                checks.append(
                    Check(part="runtime", name=title, state=bad if device is None else NOT_AVAILABLE, seen=answer.error)
                )
            elif needed or board is None or name in board.runtimes:
                checks.append(Check(part="runtime", name=title, state=bad, seen="not installed", fix=install))
    return checks


def sensor_checks(board: Board | None, reading: Reading) -> list[Check]:
    """What the board says of itself now; a sensor that is missing is not available, and keeps nobody from flying."""
    expected = board.telemetry if board else ()
    power_mw, warmest = reading.total_power_mw, _highest(reading.temperatures_c)
    seen = {
        "memory": _memory_text(reading),
        "temperature": None if warmest is None else f"{warmest[1]:.0f} °C ({warmest[0]}, the warmest)",
        "clock": _clock_text(reading),
        "power": _power_text(reading.power_mw) if power_mw is None else f"{power_mw / 1e3:.1f} W, the whole board",
        "power mode": reading.power_mode,
    }
    checks = [
        Check(part="sensor", name=name, state=NOT_AVAILABLE if text is None else OK, seen=text or "not available")
        for name, text in seen.items()
        if text is not None or name in expected
    ]
    if reading.throttling is None and "throttling" in expected:
        checks.append(Check(part="sensor", name="throttling", state=NOT_AVAILABLE, seen="not available"))
    elif reading.throttling is not None:
        now, before = (", ".join(names) or "no" for names in (reading.throttling.now, reading.throttling.since_start))
        fix = "a power supply that holds 5 V under load, and a fan" if reading.throttling.now else None
        state = MISSING if reading.throttling.now else OK
        seen_text = f"now: {now}; since the start: {before}"
        checks.append(Check(part="sensor", name="throttling", state=state, seen=seen_text, fix=fix))
    return checks


def _board_check(board: Board | None, machine: str, architecture: str) -> Check:
    if board is None:
        seen = f"{machine}, {architecture}: no profile; any runtime that works will do"
        return Check(part="board", name="board", state=NOT_AVAILABLE, seen=seen)
    return Check(part="board", name="board", state=OK, seen=f"{machine}, {architecture}: {board.name}")


def python_check(architecture: str, release: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Whether a runtime has wheels for this Python: on 64-bit systems all have them for what tinydet itself takes."""
    is_32_bit_arm = architecture.startswith("armv") or (architecture == "aarch64" and sys.maxsize < 1 << 32)
    seen = f"Python {'.'.join(map(str, release))}, {'32' if is_32_bit_arm else '64'} bit"
    if is_32_bit_arm and release not in ARMV7_PYTHONS:
        pythons = " and ".join(f"{major}.{minor}" for major, minor in ARMV7_PYTHONS)
        seen += f": 32-bit Arm has wheels of tflite-runtime alone, for Python {pythons}"
        fix = "python3.11 -m venv ~/tinydet, or a 64-bit system"
        return Check(part="system", name="Python", state=MISSING, seen=seen, fix=fix)
    return Check(part="system", name="Python", state=OK, seen=seen)


def _npu_checks(board: Board | None, root: Path) -> list[Check]:
    """Of Intel's NPU, where the board has one."""
    if board is None or not board.recognize.npu_pci_ids:
        return []
    device = root / NPU
    if not device.exists():
        seen, fix = f"its driver made no /{NPU}", "https://github.com/intel/linux-npu-driver"
        return [Check(part="system", name="NPU", state=NOT_AVAILABLE, seen=seen, fix=fix)]
    if not os.access(device, os.R_OK | os.W_OK):
        seen, fix = f"/{NPU} is not readable for this user", "sudo usermod -aG render $USER"
        return [Check(part="system", name="NPU", state=NOT_AVAILABLE, seen=seen, fix=fix)]
    return [Check(part="system", name="NPU", state=OK, seen=f"/{NPU} is readable; tinydet runs no model there yet")]


def _disk_check(folder: Path) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return Check(part="system", name="disk", state=NOT_AVAILABLE, seen="not available")
    seen = f"{free / 2**30:.1f} GiB free where you stand; recording stops at {RESERVE_BYTES >> 20} MiB"
    if free < RESERVE_BYTES:
        return Check(part="system", name="disk", state=MISSING, seen=seen, fix="delete old recordings")
    return Check(part="system", name="disk", state=OK, seen=seen)


def _highest(values: Mapping[str, float | None]) -> tuple[str, float] | None:
    known = [(name, value) for name, value in values.items() if value is not None]
    return max(known, key=lambda pair: pair[1], default=None)


def _memory_text(reading: Reading) -> str | None:
    if reading.memory_used_mib is None or reading.memory_total_mib is None:
        return None
    return f"{reading.memory_total_mib - reading.memory_used_mib:.0f} of {reading.memory_total_mib:.0f} MiB free"


def _clock_text(reading: Reading) -> str | None:
    fastest = _highest({name: value for name, value in reading.clocks_mhz.items() if name != "gpu"})
    gpu = reading.clocks_mhz.get("gpu")
    parts = ([f"CPU {fastest[1]:.0f} MHz"] if fastest else []) + ([f"GPU {gpu:.0f} MHz"] if gpu is not None else [])
    return ", ".join(parts) or None


def _power_text(power_mw: Mapping[str, float | None]) -> str | None:
    known = [f"{name} {value / 1e3:.1f} W" for name, value in power_mw.items() if value is not None]
    return ", ".join(known) or None
