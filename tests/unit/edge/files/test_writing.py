from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import atomic_path, writable_folder, write_json, write_text


def test_a_finished_write_replaces_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deeper" / "result.json"
    write_text(target, "old")
    write_json(target, {"AP": 0.5})
    assert json.loads(target.read_text()) == {"AP": 0.5}
    assert list(target.parent.iterdir()) == [target]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    write_text(target, "old")

    def write_half() -> None:
        with atomic_path(target) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_lies_beside_the_target_and_keeps_its_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "clip.mp4") as partial:
        assert (partial.parent, partial.suffix) == (tmp_path, ".mp4")
        partial.write_bytes(b"x")


def test_json_without_a_number_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "result.json", {"AP": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        write_text(tmp_path, "x")


@pytest.mark.parametrize("below", ["", "runs"])
def test_an_unwritable_folder_is_one_line(tmp_path: Path, below: str) -> None:
    regular_file = tmp_path / "file"
    regular_file.write_text("x")
    with pytest.raises(InputError, match=r"cannot write into folder .*choose another output folder") as caught:
        writable_folder(regular_file / below)
    assert "\n" not in str(caught.value)
