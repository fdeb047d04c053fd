"""`Command`: one subcommand of `tinydet`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


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
