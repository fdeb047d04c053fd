"""Lines for people: progress where stderr is no terminal, as under a service manager, and the next command."""

from __future__ import annotations

import shlex

import pytest

from tinydet.edge.commands import terminal


def test_long_work_shows_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    assert list(terminal.track(["a", "b"], "reading")) == ["a", "b"]
    assert capsys.readouterr() == ("", "reading: 1 of 2\nreading: 2 of 2\n")


def test_short_work_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(terminal.track(["a", "b"], "reading")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_the_next_command_can_be_pasted_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say_next("profile", "my model's.onnx", "--data", "$HOME")
    line = capsys.readouterr().err
    assert shlex.split(line) == ["next:", "tinydet", "profile", "my model's.onnx", "--data", "$HOME"]
    assert "'$HOME'" in line
