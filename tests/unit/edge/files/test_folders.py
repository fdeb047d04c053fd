"""Folders that are filled under another name: whole or not there, and nothing is left of killed runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files import writing
from tinydet.edge.files.folders import new_folder, temporary_folder
from tinydet.edge.files.kernel_lock import kernel_lock

HOLDER = """
import sys, time
from pathlib import Path
from tinydet.edge.files.folders import new_folder, temporary_folder
with new_folder(Path(sys.argv[1])) as folder, temporary_folder() as temporary:
    for path in folder, temporary:
        (path / "below").mkdir()
        (path / "below" / "half").touch()
    print(folder, temporary, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, of this test only."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def fill(target: Path) -> None:
    with new_folder(target) as folder:
        (folder / "file").touch()
        assert not target.exists()


def use_temporary_folder() -> None:
    writing._cleaned.clear()
    with temporary_folder() as folder:
        (folder / "file").touch()


def test_folders_of_a_run_are_its_own_until_it_is_killed(tmp_path: Path, temporary: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLDER, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        left = [Path(name) for name in holder.stdout.readline().split()]
        with pytest.raises(InputError, match=r"another run writes into .*/out: wait for its end"):
            fill(out)
        use_temporary_folder()
        assert all((folder / "below" / "half").exists() for folder in left)
        holder.kill()
    fill(out)
    use_temporary_folder()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "temporary"}
    assert [path.name for path in out.iterdir()] == ["file"]
    assert not list(temporary.iterdir())


def test_a_locked_folder_is_in_use_whatever_its_process_number(tmp_path: Path) -> None:
    """Another container's processes have other numbers."""
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    locked, left = (tmp_path / f".a.{dead.pid}-{number * 8}.partial" for number in "01")
    locked.mkdir()
    left.mkdir()
    with kernel_lock(locked):
        writing.writable_folder(tmp_path)
    assert list(tmp_path.iterdir()) == [locked]


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    def fail(error: BaseException) -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "half").touch()
            raise error

    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    with pytest.raises(InputError, match=r"cannot write .*out: No space left on device"):
        fail(OSError(28, "No space left on device"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["there", "dangling", "n" * 256, "a\0b", ".", "loop/x"])
def test_folders_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError):
        fill(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_in_place_of_the_partial_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / ".out.tinydet.partial").symlink_to("precious")
    with pytest.raises(InputError, match="is a link"):
        fill(tmp_path / "out")
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]


def test_the_longest_name(tmp_path: Path) -> None:
    fill(tmp_path / ("n" * 255))
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]
