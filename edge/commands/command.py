"""`Command`: one subcommand of `tinydet`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from tinydet.edge.commands.options import whole_number


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand, found through the entry-point group `tinydet.commands`.

    Its module imports nothing heavy at module level: `tinydet --help` loads all of them.
    """

    name: str
    """Word to type after `tinydet`."""
    help: str
    """One line for the list of commands."""
    example: str
    """Command line that works, shown at the end of the command's help."""
    add_arguments: Callable[[ArgumentParser], None]
    """Add the command's arguments to its parser."""
    run: Callable[[Namespace], int | None]
    """Do the work. Returns the exit code: None or 0 done, 1 a check failed, 2 wrong input, 3 accuracy gate."""


def add_runtime_arguments(parser: ArgumentParser) -> None:
    """Add --device and --threads."""
    from tinydet.edge.runtimes.runtime import DEVICES, MOST_THREADS

    parser.add_argument(
        "--device",
        choices=DEVICES,
        help="device to run on; fails if it is unavailable, never falls back (default: the runtime's choice)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=whole_number(1, MOST_THREADS),
        help="CPU threads of the runtime (default: its choice)",
    )
