"""The toy set's files, a server that sends them, and the folder that they are fetched to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.training.fetch import file_server
from tests.unit.training.fetch.file_server import FileServer
from tests.unit.training.fetch.toy_set import write_set, write_source
from tinydet.training.data import download, public_sets


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy set's files; its own address is a folder that does not exist."""
    source = write_source(tmp_path / "source")
    monkeypatch.setattr(public_sets, "FOLDER", write_set(tmp_path / "sets", source, f"{tmp_path}/nowhere"))
    monkeypatch.setattr(download, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.chdir(tmp_path)
    return source


@pytest.fixture
def server(source: Path) -> Iterator[FileServer]:
    with file_server.serving(source) as server:
        yield server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "datasets" / "toys"
