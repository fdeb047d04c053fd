"""Working and missing parts of this board, and how to install them. Only looks: nothing is changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinydet.boards.board import Board, recognize_board
from tinydet.boards.doctor.cameras import camera_findings
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.boards.doctor.runtimes import runtime_findings, try_runtimes
from tinydet.boards.doctor.sensors import sensor_findings
from tinydet.boards.doctor.system import disk_finding, npu_findings, python_finding
from tinydet.boards.machine_info import read_machine_info
from tinydet.boards.runtimes import RUNTIMES
from tinydet.boards.telemetry import Telemetry
from tinydet.edge.vendor_tools import RunTool, run_tool

RUNTIMES_TIMEOUT_S = 14.0
"""For all runtimes together; everything else takes a second or two."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Result of `tinydet doctor`."""

    board: Board | None
    """None: not a known board."""
    machine: str
    """The computer's own name."""
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> list[str]:
        """Names of the parts that this board needs and lacks."""
        return [finding.name for finding in self.findings if finding.state == MISSING]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing that this board needs."""
        return not self.missing

    def as_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        return {
            "board": None if self.board is None else self.board.name,
            "machine": self.machine,
            "ready": self.ready,
            "checks": [asdict(finding) for finding in self.findings],
        }


def diagnose(root: Path = Path("/"), run: RunTool = run_tool, architecture: str | None = None) -> Diagnosis:
    """Diagnose the board whose files are below `root`, and try the runtimes of this Python; takes 20 s at most."""
    board = recognize_board(root, architecture)
    telemetry = Telemetry(root, run)  # power that is counted as energy is its mean while the runtimes run
    runtimes = runtime_findings(board, try_runtimes(RUNTIMES, RUNTIMES_TIMEOUT_S))
    machine = read_machine_info(root)
    architecture = architecture or machine.architecture
    findings = (
        _board_finding(board, f"{machine.name}, {architecture}"),
        *runtimes,
        *camera_findings(root, run),
        python_finding(architecture),
        *npu_findings(board, root),
        disk_finding(Path.cwd()),
        *sensor_findings(board, telemetry.read()),
    )
    return Diagnosis(board=board, machine=machine.name, findings=findings)


def _board_finding(board: Board | None, machine: str) -> Finding:
    known = "not a known board; any runtime that works is enough" if board is None else board.name
    state = NOT_AVAILABLE if board is None else OK
    return Finding(part="board", name="board", state=state, seen=f"{machine}: {known}")
