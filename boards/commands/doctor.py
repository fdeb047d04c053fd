"""`tinydet doctor`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tinydet.edge.commands.command import Command

if TYPE_CHECKING:
    from rich.table import Table

    from tinydet.boards.board import Board
    from tinydet.boards.doctor.examine import Findings

EXIT_NOT_READY = 1

#: How `tinydet export --format` calls the files of a runtime, where not as the runtime itself.
FORMAT_OF_RUNTIME = {"onnxruntime": "onnx"}


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )


def _run(arguments: Namespace) -> int:
    from tinydet.boards.doctor.examine import examine
    from tinydet.edge.commands import terminal

    terminal.check_json_target(arguments.json)
    terminal.prepare_json_target(arguments.json)
    with terminal.console().status("trying every runtime for a second"):
        findings = examine()
    terminal.print_table(_table(findings))
    for line in _lines(findings):
        terminal.say(line)
    terminal.deliver_json(findings.as_dict(), arguments.json)
    return 0 if findings.ready else EXIT_NOT_READY


def _table(findings: Findings) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from tinydet.boards.doctor.finding import MISSING, OK

    table = Table()
    for name in ("", "", "state"):
        table.add_column(name)
    table.add_column("seen, and what to do", overflow="fold")
    colors = {OK: "green", MISSING: "red"}
    part = ""
    for check in findings.checks:
        if part and check.part != part:
            table.add_section()
        color = colors.get(check.state, "yellow")
        seen = escape(check.seen) + ("" if check.fix is None else f"\n→ {escape(check.fix)}")
        table.add_row(
            check.part if check.part != part else "", escape(check.name), f"[{color}]{check.state}[/{color}]", seen
        )
        part = check.part
    return table


def _lines(findings: Findings) -> list[str]:
    from tinydet.boards.doctor.finding import MISSING

    missing = [check.name for check in findings.checks if check.state == MISSING]
    lines = [f"know: {trap}" for trap in findings.board.traps] if findings.board else []
    lines.append("ready" if findings.ready else f"not ready: {', '.join(missing)}")
    if findings.board is not None and findings.ready:
        lines.append(f"next, on the workstation: {_export_line(findings.board)}")
    return lines


def _export_line(board: Board) -> str:
    name = FORMAT_OF_RUNTIME.get(board.runtimes[0], board.runtimes[0])
    calibration = " --calibration YOUR-IMAGES" if board.precision == "int8" else ""
    return f"tinydet export n --format {name} --precision {board.precision}{calibration} --out artifacts"


COMMAND = Command(
    name="doctor",
    help="say which board this is, what works on it, what is missing and what installs it; changes nothing",
    example="tinydet doctor --json runs/doctor.json",
    add_arguments=_add_arguments,
    run=_run,
)
