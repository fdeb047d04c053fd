"""Empty values and numbers out of range, at every command: one line, nothing done."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from tinydet.edge.commands.cli import COMMAND_GROUP, CommandParser
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError


def parsers() -> Iterator[CommandParser]:
    """Of every command and task."""
    for entry in entry_points(group=COMMAND_GROUP):
        command: Command = entry.load()
        parser = CommandParser(command)
        tasks = [action.choices for action in parser._actions if action.nargs == "A..."]
        yield from tasks[0].values() if tasks else [parser]  # type: ignore[union-attr]


def options() -> Iterator[tuple[CommandParser, Action]]:
    for parser in parsers():
        for action in parser._actions:
            if action.option_strings and action.nargs != 0:
                yield parser, action


def refused(parser: CommandParser, *arguments: str) -> str:
    with pytest.raises(InputError) as caught:
        parser.parse_args(list(arguments))
    return str(caught.value)


def test_empty_values_are_refused_by_name() -> None:
    seen = 0
    for parser, action in options():
        option = action.option_strings[-1]
        for arguments in ([option, ""], [option, " "], [f"{option}="]):
            assert f"{option}: expected a value, got nothing" in refused(parser, *arguments)
            seen += 1
    assert seen > 150


def test_a_dash_is_no_name_of_a_file() -> None:
    for parser, action in options():
        option = action.option_strings[-1]
        if option != "--json":
            for arguments in ([option, "-"], [f"{option}=-"]):
                assert f"{option} -: cannot be standard input or output" in refused(parser, *arguments)


def test_a_dash_after_a_flag_is_an_argument() -> None:
    (parser,) = (parser for parser in parsers() if parser.prog == "tinydet detect")
    for arguments in (
        ["--track", "n", "-"],
        ["-v", "n", "-"],
        ["n", "-", "--score=0.5"],
        ["--slice", "full", "n", "-"],
    ):
        assert parser.parse_args(arguments).source == "-"


@pytest.mark.parametrize("split", ["../val", "a/b", ".val", "a\udcffb", "a\nb", "x" * 101])
def test_a_split_that_is_no_folder_name(split: str) -> None:
    (parser,) = (parser for parser in parsers() if parser.prog == "tinydet data render")
    assert refused(parser, "--out", "scenes", "--split", split).startswith("argument --split: expected a name")


def test_empty_arguments_are_refused() -> None:
    for parser in parsers():
        assert "expected a value, got nothing" in refused(parser, "", "")


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e99", "9" * 20, "9" * 5000, "1_0", "\u00b2", "1,5"])
def test_numbers_out_of_range_are_refused(text: str) -> None:
    seen = 0
    for parser, action in options():
        if action.type in (int, float) or getattr(action.type, "__name__", "") == "parse":
            option = action.option_strings[-1]
            message = refused(parser, f"{option}={text}")
            assert message.startswith(f"argument {option}: expected a "), message
            assert len(message) < 250
            seen += 1
    assert seen > 20


def test_no_option_takes_numbers_without_bounds() -> None:
    unbounded = [action.option_strings[-1] for _, action in options() if action.type in (int, float)]
    assert unbounded == []
