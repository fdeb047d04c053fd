"""`tinydet data fetch` in a process of its own: full disks, Ctrl-C, two runs at once."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.training.fetch import file_server
from tests.unit.training.fetch.file_server import FileServer
from tests.unit.training.fetch.outcome import FETCH, assert_whole, error_of, part_of
from tests.unit.training.fetch.toy_set import FIRST
from tinydet.edge.commands.cli import main


def process_of(tmp_path: Path, address: str, *, file_bytes: int | None = None) -> subprocess.Popen[str]:
    """Fetch in a process of its own; with `file_bytes`, the system lets no file grow over that."""
    script = (
        # A shell's background jobs start with Ctrl-C ignored.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from tinydet.training.data import download, public_sets\n"
        "public_sets.FOLDER = Path('sets'); download.RETRY_WAITS_S = (0.0, 0.0, 0.0)\n"
        "from tinydet.edge.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.Popen(
        [sys.executable, "-c", script, *FETCH, "--from", address],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_for(path: Path, size_bytes: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < size_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk(server: FileServer, tmp_path: Path, out: Path) -> None:
    """The system refuses to let a file grow over 4 kB."""
    process = process_of(tmp_path, server.url, file_bytes=4096)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert ".part (File too large)" in line and "the same command goes on from there" in line
    assert not out.exists()
    assert process_of(tmp_path, server.url).wait(timeout=60) == 0, "with room again it goes on"
    assert_whole(out)


def test_a_full_file_system(server: FileServer, tmp_path: Path, out: Path) -> None:
    """A file system of 16 kB, which holds a part of the files."""
    commands = (
        "mkdir -p datasets && mount -t tmpfs -o size=16k tmpfs datasets && "
        f'{{ {sys.executable} -c "$SCRIPT"; echo code $?; find datasets -size +0 -type f; ls datasets; }}'
    )
    script = (
        "import sys; from pathlib import Path; from tinydet.training.data import public_sets\n"
        "public_sets.FOLDER = Path('sets'); from tinydet.edge.commands.cli import main\n"
        f"sys.exit(main({[*FETCH, '--from', server.url]!r}))"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets no user mount a file system")
    done = subprocess.run(
        [*unshare, commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SCRIPT": script},
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert ".part (No space left on device)" in line
    assert done.stdout.splitlines()[0] == "code 2"
    assert "datasets/.toys.download/files/frames/" in done.stdout, "what was downloaded is kept"


def test_ctrl_c_does_not_wait_for_a_silent_server(server: FileServer, tmp_path: Path, out: Path) -> None:
    until = threading.Event()
    server.faults[FIRST] = [file_server.silent(1000, until)]
    process = process_of(tmp_path, server.url)
    wait_for(part_of(out), 0)
    while len(server.requests) < 6:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=5)[1]
    until.set()
    assert process.returncode == 130
    assert "the same command goes on from there" in said and "Traceback" not in said
    assert not out.exists()
    assert process_of(tmp_path, server.url).wait(timeout=60) == 0
    assert_whole(out)


def test_two_runs_at_once_are_refused(
    server: FileServer, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    until = threading.Event()
    server.faults[FIRST] = [file_server.silent(1000, until)]
    first = process_of(tmp_path, server.url)
    wait_for(part_of(out), 0)
    assert main([*FETCH, "--from", server.url]) == 2
    assert "another run writes into" in error_of(capsys)
    until.set()
    assert first.wait(timeout=60) == 0
    assert_whole(out)
