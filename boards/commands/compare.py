"""`tinydet compare`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import add_json_argument, number
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.boards.profiling.comparison import Comparison

EXIT_FAILED = 1


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "before", metavar="A.json", type=Path, help="profile before the change, from `tinydet profile --json`"
    )
    parser.add_argument("after", metavar="B.json", type=Path, help="profile after the change")
    parser.add_argument(
        "--fail-slower",
        metavar="PERCENT",
        type=number(0, 1_000_000),
        help="exit with 1 if an artifact is slower by more than this, beyond noise",
    )
    parser.add_argument(
        "--fail-ap",
        metavar="POINTS",
        type=number(0, 100),
        help="exit with 1 if AP, overall or of an object size, falls by more than POINTS; a point is 0.01",
    )
    add_json_argument(parser)


def _run(arguments: Namespace) -> int:
    from tinydet.boards.profiling.comparison import compare
    from tinydet.boards.profiling.profile_file import read_profile

    terminal.check_json_target(arguments.json)
    comparison = compare(read_profile(arguments.before), read_profile(arguments.after))
    terminal.say_notes(comparison.notes)
    if arguments.fail_ap is not None and not all(change.points for change in comparison.artifacts):
        raise InputError("--fail-ap: a profile lacks AP: measure with `tinydet profile --data DATA`")
    terminal.print_table(_table(comparison))
    terminal.say("ratio: median after / median before, with its 95 % interval by bootstrap in brackets")
    terminal.deliver_json(comparison.as_dict(), arguments.json)
    failures = [
        line
        for change in comparison.artifacts
        for line in change.failures(slower_percent=arguments.fail_slower, ap_points=arguments.fail_ap)
    ]
    for line in failures:
        terminal.say(f"failed: {line}")
    return EXIT_FAILED if failures else 0


def _table(comparison: Comparison) -> Table:

    table = terminal.new_table("artifact", "infer, ms", "all stages, ms", "AP, points", "peak memory, MiB")
    table.columns[0].no_wrap = True
    for change in comparison.artifacts:
        times = [
            f"{time.before_ms:.2f} -> {time.after_ms:.2f}\n{time.ratio:.3f} [{time.low:.3f} to {time.high:.3f}]\n"
            f"{time.verdict}"
            for time in (change.infer, change.total)
        ]
        points = [f"{name} {value:+.2f}" for name, value in change.points.items() if value is not None]
        peaks = " -> ".join("-" if peak is None else f"{peak:.0f}" for peak in change.peak_memory_mib)
        table.add_row(escape(change.artifact), *map(escape, times), "\n".join(points) or "-", peaks)
    return table


COMMAND = Command(
    name="compare",
    help="show how time and AP changed between two profiles, beyond noise; can fail a CI job",
    example="tinydet compare main.json branch.json --fail-slower 5 --fail-ap 0.5",
    add_arguments=_add_arguments,
    run=_run,
)
