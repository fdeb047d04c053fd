from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files import writing
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


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """The system refuses to let any file grow over 1000 bytes."""
    target = tmp_path / "result.txt"
    write_text(target, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*result\.txt \(File too large\); an older file"):
            write_text(target, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
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


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone = tmp_path / f".clip.{int(dead.stdout)}-0123abcd.partial.mp4"
    kept = [tmp_path / f".clip.{os.getppid()}-0123abcd.partial.mp4", tmp_path / ".a.partial", tmp_path / "a.1.partial"]
    reused = tmp_path / f".clip.{os.getpid()}-0123abcd.partial"
    for file in (gone, reused, *kept):
        file.touch()
    os.utime(reused, (0, 0))
    write_text(tmp_path / "new.txt", "new")
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "new.txt"}


def test_a_temporary_file_in_use_is_no_leftover(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("a")
        os.utime(partial, (0, 0))
        writing._cleaned.clear()
        write_text(tmp_path / "b.txt", "b")
        assert partial.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("name", ["n" * 255, "n" * 251 + ".txt", "\u00e4" * 127, "a." + "s" * 253])
def test_names_as_long_as_the_file_system_takes(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "new")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["n" * 256, "a\0b", "\ud800", "pipe", "folder"])
def test_targets_that_cannot_be(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError):
        write_text(tmp_path / name, "new")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "pipe"]
