"""What is known of each kind of board, as data (boards/known_boards/*.toml), and which one this is."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tinydet.boards.system_files import read_text
from tinydet.edge.errors import InputError
from tinydet.edge.settings import parse_settings, read_toml

PROFILES = Path(__file__).with_name("known_boards")

QUANTITIES = ("power", "temperature", "clock", "throttling", "CPU load", "GPU load", "NPU load", "memory", "power mode")


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """How a board is told; one match of any kind is enough."""

    compatible: tuple[str, ...] = ()
    """Patterns for the device tree's `compatible` strings, matched whole."""
    npu_pci_ids: tuple[str, ...] = ()
    """Device numbers of the NPU on the PCI bus, as sysfs writes them."""
    architectures: tuple[str, ...] = ()
    """For generic boards, taken when no other matches."""

    def __post_init__(self) -> None:
        if not (self.compatible or self.npu_pci_ids or self.architectures):
            raise InputError("recognize: expected compatible, npu_pci_ids or architectures")


@dataclass(frozen=True, kw_only=True)
class Board:
    """One kind of board."""

    name: str
    rank: int
    """Where several match, the highest one is meant."""
    recognize: Recognition
    runtimes: tuple[str, ...]
    """To try in this order."""
    precision: str
    """What to export for the first of them."""
    threads: int
    """Of the CPU; 0 lets the runtime choose."""
    providers: tuple[str, ...]
    """Back ends of those runtimes, best first."""
    power_modes: tuple[str, ...]
    """Names that `nvpmodel -q` shows; empty where the board has no such modes."""
    telemetry: tuple[str, ...]
    """What `tinydet.boards.telemetry` should find."""
    install: tuple[str, ...]
    """Command lines."""
    traps: tuple[str, ...]
    """One line each."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.telemetry if name not in QUANTITIES]
        if unknown:
            raise InputError(f"telemetry: expected some of {', '.join(QUANTITIES)}, got {unknown[0]!r}")
        if self.precision not in ("fp32", "fp16", "int8"):
            raise InputError(f"precision: expected fp32, fp16 or int8, got {self.precision!r}")
        if self.threads < 0 or not self.runtimes:
            raise InputError("expected threads of 0 or more, and at least one runtime")


def read_board(path: Path) -> Board:
    """A profile. Raises `InputError` for a field that is missing, unknown or wrong."""
    return parse_settings(Board, read_toml(path), source=str(path))


def all_boards() -> list[Board]:
    """Every profile that comes with the package, by rank, highest first."""
    boards = [read_board(path) for path in sorted(PROFILES.glob("*.toml"))]
    return sorted(boards, key=lambda board: -board.rank)


def recognize(root: Path = Path("/"), architecture: str | None = None) -> Board | None:
    """The board whose files lie below `root`; None for an architecture that no profile names."""
    compatible = [text for text in read_text(root / "proc/device-tree/compatible").split("\0") if text]
    npu = read_text(root / "sys/class/accel/accel0/device/device").lower()
    architecture = architecture or platform.machine()
    for board in all_boards():
        signs = board.recognize
        matched = any(re.fullmatch(pattern, text) for pattern in signs.compatible for text in compatible)
        if matched or npu in signs.npu_pci_ids or architecture in signs.architectures:
            return board
    return None
