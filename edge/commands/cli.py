"""The command `tinydet`: finds each folder's subcommands through entry points and turns errors into one line each."""

from __future__ import annotations

import difflib
import logging
import sys
from argparse import PARSER, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError, MissingExtraError

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

COMMAND_GROUP = "tinydet.commands"

#: Folder a command comes from -> heading in the list of commands, in this order.
HEADINGS = {"edge": "Run", "boards": "Measure", "training": "Train", "quantization": "Quantize", "converters": "Export"}

_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code: a command's own, 2 for wrong input, 130 when interrupted."""
    return exit_code(lambda: dispatch(list(sys.argv[1:] if arguments is None else arguments)))


def exit_code(run: Callable[[], int]) -> int:
    """What `run` returns; an error that is the user's is told in one line instead: 2, or 130 when interrupted."""
    try:
        return run()
    except InputError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        missing_extra = MissingExtraError.of(error)
        if missing_extra is None:
            raise
        return _fail(str(missing_extra))
    except KeyboardInterrupt:
        _error_console().print("interrupted")
        return EXIT_INTERRUPTED


class CommandParser(ArgumentParser):
    """argparse with one-line errors that name the closest option, and no abbreviated options."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            prog=f"tinydet {command.name}",
            description=command.help,
            epilog=f"example:\n  {command.example}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(self)
        self.add_argument("-v", "--verbose", action="count", default=0, help="say more (-vv: everything)")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # argparse has overloads
        """As in argparse, but an unknown option is reported before a missing argument: it is the likelier mistake."""
        known = {option for action in self._actions for option in action.option_strings}
        tasks = {name for action in self._actions if action.nargs == PARSER for name in action.choices or ()}
        for argument in sys.argv[1:] if args is None else args:
            option = argument.partition("=")[0]
            if option == "--" or (tasks and not argument.startswith("-")):  # a task has its own parser
                break
            if option.startswith("--") and option not in known:
                self.error(f"unknown option {option}{_closest(option, known)}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise InputError(f"{message} (see {self.prog} --help)")


def dispatch(arguments: list[str]) -> int:
    """As `main`, but errors are the caller's to tell: for programs that run several commands."""
    commands = {entry.name: entry for entry in entry_points(group=COMMAND_GROUP)}
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        _print_commands(commands)
        return 0
    if arguments[0] == "--version":
        Console(highlight=False).print(f"tinydet {version('tinydet')}")
        return 0
    name, *rest = arguments
    if name not in commands:
        kind = "option" if name.startswith("-") else "command"
        raise InputError(f"unknown {kind} {name}{_closest(name, commands)} (see tinydet --help)")
    command: Command = commands[name].load()
    parser = CommandParser(command)
    namespace = parser.parse_args(rest)
    _configure_logging(namespace.verbose)
    return command.run(namespace) or 0


def _print_commands(commands: dict[str, EntryPoint]) -> None:
    console = Console(highlight=False)
    console.print("tinydet: train a tiny-object detector, make it INT8, put it on a drone, know what it costs there.\n")
    for folder in [*HEADINGS, *sorted({_folder(entry) for entry in commands.values()} - set(HEADINGS))]:
        table = Table.grid(padding=(0, 2))
        for name, entry in commands.items():
            if _folder(entry) == folder:
                table.add_row(f"  [bold]{escape(name)}[/bold]", escape(_help_line(entry)))
        if table.row_count:
            console.print(HEADINGS.get(folder, folder))
            console.print(table)
    console.print("\n`tinydet COMMAND --help` explains a command and ends with an example.")


def _folder(entry: EntryPoint) -> str:
    """The folder of the package that the command comes from."""
    return entry.module.removeprefix("tinydet.").partition(".")[0]


def _help_line(entry: EntryPoint) -> str:
    """One broken command must not hide the others."""
    try:
        command: Command = entry.load()
    except ModuleNotFoundError as error:
        return f"not available: {MissingExtraError.of(error) or f'module {error.name} is missing'}"
    return command.help


def _closest(word: str, known: object) -> str:
    names = [str(name) for name in known] if isinstance(known, (set, dict)) else []
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f": did you mean {close[0]}?" if close else ""


def _configure_logging(verbosity: int) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", stream=sys.stderr, force=True)


def _error_console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _fail(message: str) -> int:
    _logger.debug("wrong input", exc_info=True)
    _error_console().print(f"[red]error:[/red] {escape(' '.join(message.split()))}")
    return EXIT_WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
