"""Checks Python, Intel's NPU driver and the disk."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tinydet.boards.board import Board
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.edge.files.writing import RESERVE_BYTES

ARMV7_PYTHONS = ((3, 10), (3, 11))
"""Releases of Python for which 32-bit Arm has wheels: of one runtime, tflite-runtime 2.14.0, its last version."""

NPU = Path("dev/accel/accel0")


def python_finding(architecture: str, release: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Whether some runtime has wheels for this Python; on 64-bit systems all have them."""
    is_32_bit_arm = architecture.startswith("armv") or (architecture == "aarch64" and sys.maxsize < 1 << 32)
    seen = f"Python {'.'.join(map(str, release))}, {'32' if is_32_bit_arm else '64'} bit"
    if is_32_bit_arm and release not in ARMV7_PYTHONS:
        pythons = " and ".join(f"{major}.{minor}" for major, minor in ARMV7_PYTHONS)
        seen += f": 32-bit Arm has wheels of tflite-runtime only, for Python {pythons}"
        fix = "python3.11 -m venv ~/tinydet, or a 64-bit system"
        return Finding(part="system", name="Python", state=MISSING, seen=seen, fix=fix)
    return Finding(part="system", name="Python", state=OK, seen=seen)


def npu_findings(board: Board | None, root: Path) -> list[Finding]:
    """Whether Intel's NPU can be opened; empty for a board without one."""
    if board is None or not board.recognize.npu_pci_ids:
        return []
    device, fix = root / NPU, None
    if not device.exists():
        seen, fix = f"its driver made no /{NPU}", "https://github.com/intel/linux-npu-driver"
    elif not os.access(device, os.R_OK | os.W_OK):
        seen, fix = f"/{NPU} is not readable for this user", "sudo usermod -aG render $USER"
    else:
        seen = f"/{NPU} is readable; tinydet runs no model there yet"
    state = OK if fix is None else NOT_AVAILABLE
    return [Finding(part="system", name="NPU", state=state, seen=seen, fix=fix)]


def disk_finding(folder: Path) -> Finding:
    """Whether recordings fit on the disk of `folder`."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return Finding(part="system", name="disk", state=NOT_AVAILABLE, seen="not available")
    seen = f"{free / 2**30:.1f} GiB free in this folder; recording stops at {RESERVE_BYTES >> 20} MiB"
    if free < RESERVE_BYTES:
        return Finding(part="system", name="disk", state=MISSING, seen=seen, fix="delete old recordings")
    return Finding(part="system", name="disk", state=OK, seen=seen)
