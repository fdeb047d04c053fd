"""The command `tinydet`: finds subcommands through entry points, prints errors as one line each."""

from __future__ import annotations

import difflib
import logging
import sys
from argparse import PARSER, ArgumentParser, HelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands.command import Command
from tinydet.edge.commands.streams import safe_streams
from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.files.printable import printable, shortened, without_credentials

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

COMMAND_GROUP = "tinydet.commands"

#: Heading in the list of commands -> its commands, in order; commands that are not listed here come last.
HEADINGS = {
    "Start here": ("demo", "doctor"),
    "Detect": ("detect", "evaluate"),
    "Train on your own data": ("data", "recipes", "train", "distill", "inspect", "ablate"),
    "Quantize and export": ("quantize", "export", "parity", "sensitivity", "build-engine"),
    "Measure on the board": ("profile", "compare", "recommend"),
}
OTHER = "More"

_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: the command's own, 2 for wrong input, 130 when interrupted."""
    with safe_streams():
        try:
            return exit_code(lambda: dispatch(list(sys.argv[1:] if arguments is None else arguments)))
        finally:
            logging.basicConfig(level=logging.WARNING, handlers=[], force=True)  # a caller's log is not ours


def exit_code(run: Callable[[], int]) -> int:
    """Run and return the exit code; print a user's error as one line and return 2, or 130 when interrupted."""
    try:
        try:
            return run()
        finally:
            if sys.stdout is not None:  # now, while an error can still be reported, and not when the process ends
                sys.stdout.flush()
    except InputError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if (missing_extra := MissingExtraError.of(error)) is None:
            raise
        return _fail(str(missing_extra))
    except MemoryError:
        return _fail("out of memory: a smaller input, batch or number of threads needs less")
    except OSError as error:  # the disk, the network or a device failed where no reader or writer expected it
        return _fail(f"{error.strerror or error}{'' if error.filename is None else f': {error.filename}'}")
    except KeyboardInterrupt:
        _error_console().print("interrupted")
        return EXIT_INTERRUPTED


class CommandParser(ArgumentParser):
    """argparse with one-line errors that name the closest option, a short usage line and no abbreviated options."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            prog=f"tinydet {command.name}",
            description=f"{command.help[:1].upper()}{command.help[1:].rstrip('.')}.",
            epilog=f"example:\n  {command.example}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(self)
        self.add_argument("-v", "--verbose", action="count", default=0, help="log progress; -vv logs everything")
        required = [action for action in self._actions if action.required or not action.option_strings]
        usage = HelpFormatter(f"{self.prog} [options]", width=10_000)
        usage.add_usage(None, required, ())
        self.usage = usage.format_help().removeprefix("usage: ").strip()

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # argparse has overloads
        """Parse as argparse does, but refuse empty values, and report an unknown option before a missing argument."""
        given: Sequence[str] = sys.argv[1:] if args is None else args
        self._refuse_empty(given)
        known = {option for action in self._actions for option in action.option_strings}
        tasks = {name for action in self._actions if action.nargs == PARSER for name in action.choices or ()}
        for argument in given:
            option = argument.partition("=")[0]
            if option == "--" or (tasks and not argument.startswith("-")):  # a task has its own parser
                break
            if option.startswith("--") and option not in known:
                self.error(f"unknown option {option}{_closest(option, known)}")
        return super().parse_known_args(args, namespace)

    def _refuse_empty(self, given: Sequence[str]) -> None:
        """Refuse values that name nothing, and `-` wherever it would be taken for a file's or a folder's name."""
        takes_value = {option for action in self._actions if action.nargs != 0 for option in action.option_strings}
        for before, argument in zip(["", *given], given, strict=False):
            option, equals, value = argument.partition("=")
            if not (argument.startswith("--") and equals):
                option, value = before if before in takes_value else "", argument
            if not value.strip():
                self.error(f"{option or 'an argument'}: expected a value, got nothing")
            if value == "-" and option not in ("", "--json"):
                self.error(f"{option} -: cannot be standard input or output: expected a name")

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`; argparse would print the usage and exit."""
        raise InputError(f"{message} (see {self.prog} --help)")


def dispatch(arguments: list[str]) -> int:
    """Run one command line as `main` does, but raise its errors: for programs that run several commands."""
    commands = {entry.name: entry for entry in entry_points(group=COMMAND_GROUP)}
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
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
    console.print("usage: tinydet COMMAND ...\n")
    console.print("Detect tiny objects in drone footage: train a detector, make it INT8, fly it, measure it.")
    listed = {name for names in HEADINGS.values() for name in names}
    for heading, names in {**HEADINGS, OTHER: sorted(set(commands) - listed)}.items():
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=max(map(len, commands)) + 2)
        for name in names:
            if name in commands:
                table.add_row(f"  [bold]{escape(name)}[/bold]", escape(_help_line(commands[name])))
        if table.row_count:
            console.print(f"\n{heading}")
            console.print(table)
    console.print("\nexample:\n  tinydet detect n flight.mp4 --save runs/flight")
    console.print("\n`tinydet COMMAND --help` shows the options of a command, and an example.")


def _help_line(entry: EntryPoint) -> str:
    """Help of a command, or why it is not available: one broken command must not hide the others."""
    try:
        command: Command = entry.load()
    except ModuleNotFoundError as error:
        return f"not available: {MissingExtraError.of(error) or f'module {error.name} is missing'}"
    return command.help


def _closest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f": did you mean {close[0]}?" if close else ""


def _configure_logging(verbosity: int) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler = _StandardError()
    handler.setFormatter(_Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _StandardError(logging.Handler):
    """Writes to what standard error is at that time: it is replaced while a command runs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(self.format(record) + "\n")


class _Formatter(logging.Formatter):
    """Masks passwords, escapes control characters and shortens long paths."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Format a message without its traceback."""
        return shortened(printable(without_credentials(super().formatMessage(record))))


def _error_console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _fail(message: str) -> int:
    _logger.debug("wrong input", exc_info=True)
    _error_console().print(
        f"[red]error:[/red] {escape(shortened(printable(without_credentials(' '.join(message.split())))))}"
    )
    return EXIT_WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
