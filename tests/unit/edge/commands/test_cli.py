from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, version
from types import ModuleType

import pytest

from tinydet.edge.commands import cli
from tinydet.edge.commands.cli import main
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--score", type=float)
    parser.add_argument("--save")


Install = Callable[[Callable[[Namespace], int | None]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes `run` the only command, as `tinydet try`."""

    def install_run(run: Callable[[Namespace], int | None]) -> None:
        module = ModuleType("edge_try_command")
        module.COMMAND = Command(  # type: ignore[attr-defined]  # a module made up here
            name="try", help="try something", example="tinydet try n", add_arguments=add_arguments, run=run
        )
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = EntryPoint(name="try", value="edge_try_command:COMMAND", group=cli.COMMAND_GROUP)
        monkeypatch.setattr(cli, "entry_points", lambda group: [entry])

    return install_run


def raises(error: BaseException) -> Callable[[Namespace], None]:
    def run(_: Namespace) -> None:
        raise error

    return run


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_alone_it_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for name in ("detect", "evaluate", "profile", "train"):
        assert f"\n  {name} " in shown
    assert shown.index("\nDetect\n") < shown.index("\nTrain on") < shown.index("\nMeasure on")
    assert cli.OTHER not in shown.splitlines(), "every command has a heading"


def test_help_of_a_command_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for arguments in (["help", "detect"], ["detect", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("usage: tinydet detect [options] [MODEL] [SOURCE]\n\nFind objects")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tinydet {version('tinydet')}\n"


@pytest.mark.parametrize("name", ["detect", "evaluate", "profile"])
def test_help_ends_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    _, examples = capsys.readouterr().out.rstrip().split("\nexample:\n")
    assert all(line.startswith(f"  tinydet {name} ") for line in examples.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detekt"], "unknown command detekt: did you mean detect? (see tinydet --help)"),
        (["--verison"], "unknown option --verison (see tinydet --help)"),
        (["detect", "m", "s", "--scor", "0.5"], "unknown option --scor: did you mean --score? (see tinydet detect"),
        (["detect", "m", "s", "--scor=0.5"], "unknown option --scor: did you mean --score?"),
        (
            ["detect", "m", "s", "--score", "high"],
            "argument --score: expected a number 0 to 1, got 'high' (see tinydet detect",
        ),
        (["detect", "m"], "detect needs a source, as argument or in a --config file (see tinydet detect --help)"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {message}")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(("returned", "exit_code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_the_exit_code_is_the_commands(install: Install, returned: int | None, exit_code: int) -> None:
    install(lambda _: returned)
    assert main(["try", "n"]) == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (InputError("expected [this],\ngot that"), 2, "error: expected [this], got that\n"),
        (ModuleNotFoundError(name="torch"), 2, "error: this needs torch: pip install 'tinydet[training]'\n"),
        (ModuleNotFoundError(name="onnxruntime.capi"), 2, "error: this needs onnxruntime: pip install 'tinydet[onnxr"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_one_line(
    install: Install, error: BaseException, exit_code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(error))
    assert main(["try", "n"]) == exit_code
    shown = capsys.readouterr()
    assert shown.err.startswith(message)
    assert (shown.out, shown.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("error", [ModuleNotFoundError(name="no_such_module"), ValueError("a bug"), TypeError()])
def test_a_bug_keeps_its_trace(install: Install, error: Exception) -> None:
    install(raises(error))
    with pytest.raises(type(error)):
        main(["try", "n"])


@pytest.mark.parametrize("between", ["", " ", "/", "/ "])
def test_errors_keep_both_ends_of_long_paths(between: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = "start" + f"middle{between}" * 1000 + "end"
    assert main(["evaluate", "n", path]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "start" in line and "end" in line
    assert len(line) < (2020 if " " in between else 500)


def test_a_command_that_cannot_be_loaded_does_not_hide_the_others(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(lambda _: None)
    working = EntryPoint(name="try", value="edge_try_command:COMMAND", group=cli.COMMAND_GROUP)
    broken = EntryPoint(name="broken", value="no_such_module:COMMAND", group=cli.COMMAND_GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken, working])
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert f"{cli.OTHER}\n" in shown
    assert "try something" in shown
    assert "not available: module no_such_module is missing" in shown


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """What this test sets would outlive it: a level, and a handler that writes to where pytest listened."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize(("flags", "shown"), [([], "WARNING"), (["-v"], "INFO"), (["-vv"], "DEBUG")])
def test_logging_shows_warnings_and_more_when_asked(
    install: Install, flags: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Namespace) -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger("tinydet.somewhere").log(level, "said")

    install(run)
    main(["try", "n", *flags])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{shown}: said"
    assert lines[-1] == "WARNING: said"
