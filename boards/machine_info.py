"""Name, cores, architecture and system of this computer."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tinydet.boards.system_files import read_text


@dataclass(frozen=True, kw_only=True)
class MachineInfo:
    """The computer that times were measured on."""

    name: str
    """The board's own name, for example `Raspberry Pi 5 Model B Rev 1.0`; else the CPU's."""
    cores: int
    """CPU cores this process may use."""
    architecture: str
    """For example `x86_64`, `aarch64`."""
    system: str
    """For example `Linux 6.1.0`."""


def read_machine_info(root: Path = Path("/")) -> MachineInfo:
    """Read the name from the files below `root`, the rest from this process."""
    return MachineInfo(
        name=_device_tree_model(root) or _cpu_model(root) or platform.processor() or "unknown CPU",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        architecture=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
    )


def _device_tree_model(root: Path) -> str:
    """Name in the device tree, where it ends with a zero byte; empty for a computer without one."""
    return read_text(root / "proc/device-tree/model").rstrip("\0").strip()


def _cpu_model(root: Path) -> str:
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return ""
