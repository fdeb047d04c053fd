"""A file holds one concept: past 400 lines it holds two."""

from __future__ import annotations

from tests.house.rules import ALLOWED_ARROWS, python_files
from tests.paths import REPOSITORY

MOST_LINES = 400


def test_no_file_holds_two_concepts() -> None:
    lengths = {
        file: len((REPOSITORY / file).read_text(encoding="utf-8").splitlines())
        for package in (*ALLOWED_ARROWS, "tests")
        for file in python_files(package)
    }
    too_long = [f"{file}: {lines} lines" for file, lines in lengths.items() if lines > MOST_LINES]
    assert not too_long, "\n".join(too_long)
