"""`tinydet doctor`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import add_json_argument

if TYPE_CHECKING:
    from tinydet.boards.doctor.diagnosis import Diagnosis

EXIT_NOT_READY = 1


def _run(arguments: Namespace) -> int:
    from tinydet.boards.doctor.diagnosis import diagnose

    terminal.check_json_target(arguments.json)
    terminal.prepare_json_target(arguments.json)
    with terminal.console().status("running a test model on every runtime, for a second each"):
        diagnosis = diagnose()
    terminal.print_table(_table(diagnosis))
    for line in _lines(diagnosis):
        terminal.say(line)
    terminal.deliver_json(diagnosis.as_dict(), arguments.json)
    return 0 if diagnosis.ready else EXIT_NOT_READY


def _table(diagnosis: Diagnosis) -> Table:

    from tinydet.boards.doctor.finding import MISSING, OK

    table = terminal.new_table("part", "", "state", "finding → how to fix it", texts=4)
    table.columns[-1].overflow = "fold"
    colors = {OK: "green", MISSING: "red"}
    part = ""
    for finding in diagnosis.findings:
        if part and finding.part != part:
            table.add_section()
        color = colors.get(finding.state, "yellow")
        text = escape(finding.seen) + ("" if finding.fix is None else f"\n→ {escape(finding.fix)}")
        shown = finding.part if finding.part != part else ""
        table.add_row(shown, escape(finding.name), f"[{color}]{finding.state}[/{color}]", text)
        part = finding.part
    return table


def _lines(diagnosis: Diagnosis) -> list[str]:
    from tinydet.boards.runtimes import RUNTIMES

    lines = [f"note: {trap}" for trap in diagnosis.board.traps] if diagnosis.board else []
    lines.append("ready" if diagnosis.ready else f"not ready, missing: {', '.join(diagnosis.missing)}")
    board = diagnosis.board
    if board is not None and diagnosis.ready:
        name = RUNTIMES[board.runtimes[0]].export_format
        calibration = " --calibration YOUR-IMAGES" if board.precision == "int8" else ""
        export = f"tinydet export n --format {name} --precision {board.precision}{calibration} --out artifacts"
        lines.append(f"next, on the workstation: {export}")
    return lines


COMMAND = Command(
    name="doctor",
    help="recognize this board, try its runtimes, cameras and sensors, show how to fix the rest; changes nothing",
    example="tinydet doctor --json runs/doctor.json",
    add_arguments=add_json_argument,
    run=_run,
)
