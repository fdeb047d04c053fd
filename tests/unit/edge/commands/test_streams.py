"""Standard output and error that are closed, full, or read by nobody: no traceback, the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.paths import REPOSITORY
from tests.unit.edge.sources.test_sources import write_clip


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`tinydet LINE`, where LINE may redirect."""
    command = f"{sys.executable} -m tinydet.edge.commands.cli {line}"
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("line", ["--version", "detect --help"])
def test_standard_output_that_takes_nothing(tmp_path: Path, line: str, redirection: str) -> None:
    done = run(f"{line} {redirection}", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write to standard output (")
    assert len(done.stderr.splitlines()) == 1


def test_standard_output_whose_reader_is_gone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "tinydet.edge.commands.cli", "detect", "--help"]
    done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, "error: cannot write to standard output (Broken pipe)\n")


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_finished_flight_whose_messages_go_nowhere(tmp_path: Path, redirection: str) -> None:
    write_spot_detector(tmp_path / "spots.onnx", spot_metadata(class_names=("car", "person")))
    write_clip(tmp_path / "clip.mp4", frames=3)
    line = "detect spots.onnx clip.mp4 --jsonl a.jsonl"
    done = run(f"{line} {redirection}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all(record.startswith("{") for record in (tmp_path / "a.jsonl").read_text().splitlines())

    assert run(f"{line.replace('clip.mp4', 'none.mp4')} {redirection}", tmp_path).returncode == 2
