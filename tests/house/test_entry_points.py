"""Every name that pyproject.toml promises (commands, runtimes, bundled models) leads to something."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import pytest

from tinydet.edge.commands.command import Command
from tinydet.edge.runtimes.runtime import Runtime

COMMANDS = list(entry_points(group="tinydet.commands"))
RUNTIMES = list(entry_points(group="tinydet.runtimes"))
MODELS = list(entry_points(group="tinydet.models"))


def name_of(entry: EntryPoint) -> str:
    return entry.name


def test_the_installed_distribution_is_this_one() -> None:
    assert COMMANDS, "tinydet is not installed in this environment: run make install"
    assert RUNTIMES
    assert MODELS


@pytest.mark.parametrize("entry", COMMANDS, ids=name_of)
def test_command(entry: EntryPoint) -> None:
    command = entry.load()
    assert isinstance(command, Command)
    assert command.name == entry.name
    assert "\n" not in command.help
    assert command.example.startswith(f"tinydet {entry.name}")


@pytest.mark.parametrize("entry", RUNTIMES, ids=name_of)
def test_runtime(entry: EntryPoint) -> None:
    if entry.name == "engine":
        pytest.importorskip("tensorrt", reason="TensorRT comes with JetPack")
    assert issubclass(entry.load(), Runtime)


@pytest.mark.parametrize("entry", MODELS, ids=name_of)
def test_bundled_model(entry: EntryPoint) -> None:
    assert entry.load()().is_file()
