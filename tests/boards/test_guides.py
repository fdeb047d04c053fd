"""docs/boards says what boards/known_boards says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tinydet.boards.board import KNOWN_BOARDS, read_board

GUIDES = {"jetson": "jetson-*", "raspberry-pi": "raspberry-pi-*", "intel": "intel-*"}
FORMAT_OF_RUNTIME = {"onnxruntime": "onnx"}


def profiles(pattern: str) -> list[Path]:
    return sorted(KNOWN_BOARDS.glob(f"{pattern}.toml"))


def test_every_family_has_a_guide() -> None:
    guided = [profile for pattern in GUIDES.values() for profile in profiles(pattern)]
    assert {profile.stem for profile in KNOWN_BOARDS.glob("*.toml")} - {profile.stem for profile in guided} == {
        "generic-arm",
        "generic-x86",
    }
    assert {path.stem for path in (REPOSITORY / "docs/boards").glob("*.md")} == set(GUIDES)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_holds_the_lines_of_its_profiles(guide: str) -> None:
    text = (REPOSITORY / f"docs/boards/{guide}.md").read_text(encoding="utf-8")
    for profile in profiles(GUIDES[guide]):
        board = read_board(profile)
        name = FORMAT_OF_RUNTIME.get(board.runtimes[0], board.runtimes[0])
        for line in (*board.install, f"--format {name} --precision {board.precision}"):
            assert line in text, f"{profile.name}: {line}"
