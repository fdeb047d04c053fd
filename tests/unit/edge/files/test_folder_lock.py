"""A folder is locked for one run, by the kernel: nothing is left behind, and nothing outlives the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder

HOLDER = """
import os, sys, time
from tinydet.edge.files.folder_lock import locked_folder
with locked_folder(sys.argv[1]):
    if os.fork() == 0:
        time.sleep(60)  # a worker that outlives its run
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def lock(folder: Path) -> None:
    with locked_folder(folder):
        pass


def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "run") as folder:
        with pytest.raises(
            InputError, match=r"another run writes into .*run: wait for its end, or choose another --out"
        ):
            lock(folder)
        lock(tmp_path / "other")
    lock(folder)
    assert not list(folder.iterdir())


def test_the_lock_ends_with_a_killed_process_though_its_workers_live(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(InputError, match="another run"):
        lock(tmp_path)
    holder.kill()
    holder.wait()
    end_s = time.monotonic() + 20
    while True:
        try:
            lock(tmp_path)
            break
        except InputError:  # the worker gives the lock up as soon as it runs
            assert time.monotonic() < end_s
            time.sleep(0.05)
    os.killpg(holder.pid, signal.SIGKILL)
    holder.stdout.close()


def test_the_lock_ends_with_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with locked_folder(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    lock(tmp_path)
