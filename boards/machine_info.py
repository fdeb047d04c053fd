"""Name, cores, architecture and system of this computer."""

from __future__ import annotations

import os
import platform
import re
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
    in_device_tree = read_text(root / "proc/device-tree/model")  # ends with a zero byte
    return MachineInfo(
        name=in_device_tree.rstrip("\0").strip() or _cpu_model(root) or platform.processor() or "unknown CPU",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        architecture=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
    )


def _cpu_model(root: Path) -> str:
    match = re.search(r"^(?:model name|Model)[ \t]*:[ \t]*(.*?)[ \t]*$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return "" if match is None else match[1]
