"""The command that fetches the toy set, and what it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.fetch.toy_set import FIRST, NAME
from tinydet.edge.datasets.reading import read_dataset

FETCH = ["data", "fetch", NAME]


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("error:") == 1
    return " ".join(text.split("error:")[1].split())


def part_of(out: Path) -> Path:
    return out.parent / f".{out.name}.download" / "files" / f"{FIRST}.part"


def assert_whole(out: Path) -> None:
    assert [len(read_dataset(out / "tiny", split=split).images) for split in ("train", "val")] == [2, 1]
    assert [path.name for path in out.parent.iterdir()] == [out.name], "nothing is left beside it"
