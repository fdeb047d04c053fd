"""Which computer this is."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tinydet.boards.system_files import read_text


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What absolute times must be read beside."""

    name: str
    """The board's own name, for example `Raspberry Pi 5 Model B Rev 1.0`; else the CPU's."""
    cores: int
    """CPU cores this process may use."""
    architecture: str
    """For example `x86_64`, `aarch64`."""
    system: str
    """For example `Linux 6.1.0`."""


def this_machine(root: Path = Path("/")) -> Machine:
    """Read what the system says about itself below `root`."""
    return Machine(
        name=_device_tree_model(root) or _cpu_model(root) or platform.processor() or "unknown CPU",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        architecture=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
    )


def _device_tree_model(root: Path) -> str:
    """Boards with a device tree say their name there, ended by a zero byte."""
    return read_text(root / "proc/device-tree/model").rstrip("\0").strip()


def _cpu_model(root: Path) -> str:
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return ""
