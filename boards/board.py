"""Known boards (data in boards/known_boards/*.toml), and which of them this computer is."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tinydet.boards.runtimes import RUNTIMES
from tinydet.boards.system_files import read_text
from tinydet.edge.errors import InputError
from tinydet.edge.files.schema import Length, Matches, Range, validated
from tinydet.edge.files.toml_file import read_toml

KNOWN_BOARDS = Path(__file__).with_name("known_boards")

QUANTITIES = ("power", "temperature", "clock", "throttling", "CPU load", "GPU load", "NPU load", "memory", "power mode")


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """How to recognize a board; any one match is enough."""

    compatible: tuple[str, ...] = ()
    """Regular expressions for the device tree's `compatible` strings, matched whole."""
    npu_pci_ids: tuple[str, ...] = ()
    """PCI device numbers of the NPU, as sysfs writes them."""
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
    """Priority: if several boards match, the highest rank wins."""
    recognize: Recognition
    runtimes: Annotated[tuple[str, ...], Length(1)]
    """Names in `boards.runtimes.RUNTIMES`, best first."""
    precision: Annotated[str, Matches("fp32|fp16|int8", "fp32, fp16 or int8")]
    """Precision to export for the first runtime: fp32, fp16 or int8."""
    threads: Annotated[int, Range(0)]
    """CPU threads; 0 lets the runtime choose."""
    providers: tuple[str, ...]
    """Back ends of those runtimes, best first."""
    power_modes: tuple[str, ...]
    """Names that `nvpmodel -q` shows; empty for a board without power modes."""
    telemetry: tuple[str, ...]
    """Quantities (`QUANTITIES`) that `boards.telemetry` should find."""
    install: tuple[str, ...]
    """Command lines that set the board up."""
    traps: tuple[str, ...]
    """Pitfalls, one line each."""

    def __post_init__(self) -> None:
        for field, known in (("telemetry", QUANTITIES), ("runtimes", tuple(RUNTIMES))):
            unknown = [name for name in getattr(self, field) if name not in known]
            if unknown:
                raise InputError(f"{field}: expected some of {', '.join(known)}, got {unknown[0]!r}")


def read_board(path: Path) -> Board:
    """Read a board's file. Raises `InputError` for a missing, unknown or wrong field."""
    return validated(read_toml(path), Board, source=str(path))


def known_boards() -> list[Board]:
    """All boards that come with the package, highest rank first."""
    boards = [read_board(path) for path in sorted(KNOWN_BOARDS.glob("*.toml"))]
    return sorted(boards, key=lambda board: -board.rank)


def recognize_board(root: Path = Path("/"), architecture: str | None = None) -> Board | None:
    """Recognize the board from its files below `root`; None for an architecture without a generic board."""
    compatible = [text for text in read_text(root / "proc/device-tree/compatible").split("\0") if text]
    npu = read_text(root / "sys/class/accel/accel0/device/device").lower()
    architecture = architecture or platform.machine()
    for board in known_boards():
        signs = board.recognize
        matched = any(re.fullmatch(pattern, text) for pattern in signs.compatible for text in compatible)
        if matched or npu in signs.npu_pci_ids or architecture in signs.architectures:
            return board
    return None
