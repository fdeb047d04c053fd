"""The guides in docs/boards have the command lines of boards/known_boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tinydet.boards.board import KNOWN_BOARDS, read_board
from tinydet.boards.runtimes import RUNTIMES

GUIDES = {"jetson": "jetson-*", "raspberry-pi": "raspberry-pi-*", "intel": "intel-*"}


def board_files(pattern: str) -> list[Path]:
    return sorted(KNOWN_BOARDS.glob(f"{pattern}.toml"))


def test_every_family_has_a_guide() -> None:
    guided = {file.stem for pattern in GUIDES.values() for file in board_files(pattern)}
    assert {file.stem for file in board_files("*")} - guided == {"generic-arm", "generic-x86"}
    assert {path.stem for path in (REPOSITORY / "docs/boards").glob("*.md")} == set(GUIDES)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_the_command_lines_of_its_boards(guide: str) -> None:
    text = (REPOSITORY / f"docs/boards/{guide}.md").read_text(encoding="utf-8")
    for file in board_files(GUIDES[guide]):
        board = read_board(file)
        name = RUNTIMES[board.runtimes[0]].export_format
        for line in (*board.install, f"--format {name} --precision {board.precision}"):
            assert line in text, f"{file.name}: {line}"
