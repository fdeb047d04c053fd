"""What a subcommand of `tinydet` is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand, found by the command line through the entry-point group `tinydet.commands`.

    Its module imports nothing heavy at module level: `tinydet --help` loads every one of them.
    """

    name: str
    """What the user types after `tinydet`."""
    help: str
    """One line for the list of commands."""
    example: str
    """A command line that works, shown at the end of the command's help."""
    add_arguments: Callable[[ArgumentParser], None]
    """Adds the command's arguments to its parser."""
    run: Callable[[Namespace], int | None]
    """Does the work. Returns the exit code: None or 0 done, 1 checked and not so, 2 wrong input, 3 accuracy gate."""
