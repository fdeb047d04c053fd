"""Exports and quantizations that are killed at any moment leave the old files or the new ones, and nothing half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.networks import INPUT_PX, write_labelled_images
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.training.checkpoint import save_detector
from tinydet.training.model import build_detector, model_config

KILLS = int(os.environ.get("TINYDET_KILLS", "3"))
RUNNER = """
import json, os, sys
import torch, onnx, openvino
from tinydet.edge.commands.cli import main
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        os._exit(main(json.loads(line)))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Imports once, then runs every command line in a fork."""


class Runner:
    """Runs command lines in processes that can be killed."""

    def __init__(self, temporary: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def run(self, *command: str | Path, kill_in: tuple[Path, float] | None = None) -> int:
        """The exit code. `kill_in`: kill so many seconds after a temporary file of the process appears in a folder."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(word) for word in command]) + "\n")
        self.process.stdin.flush()
        number = int(self.process.stdout.readline())
        if kill_in is not None:
            folder, delay_s = kill_in
            deadline_s = time.monotonic() + 120
            while not list(folder.glob(f".*.{number}-*.partial*")) and time.monotonic() < deadline_s:
                time.sleep(0.0005)
            time.sleep(delay_s)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(number, signal.SIGKILL)
        return int(self.process.stdout.readline())


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def runner(temporary: Path) -> Iterator[Runner]:
    runner = Runner(temporary)
    yield runner
    os.killpg(runner.process.pid, signal.SIGKILL)  # with the fork that runs a command
    runner.process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    """Of the files that readers see."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.mark.slow
@pytest.mark.timeout(60 + 120 * KILLS)
@pytest.mark.parametrize("name", ["onnx", "tflite", "openvino", "quantize"])
def test_killed_at_any_moment_the_old_or_the_new_file_is_whole(
    name: str, tmp_path: Path, temporary: Path, runner: Runner
) -> None:
    """$TINYDET_KILLS times, with two checkpoints in turn; the next run leaves nothing of the killed ones."""
    commands: list[list[str | Path]] = []
    (tmp_path / "data").mkdir()
    data = write_labelled_images(tmp_path / "data", train=1)
    for seed in range(2):
        torch.manual_seed(seed)
        checkpoint = tmp_path / f"{seed}.safetensors"
        save_detector(checkpoint, build_detector(model_config("n", ("person",))), input_px=INPUT_PX, training={})
        options = ["--calibration", data] if name == "quantize" else ["--format", name, "--precision", "fp16"]
        if name == "tflite":
            options[-1] = "fp32"
        commands.append(["quantize" if name == "quantize" else "export", checkpoint, "--size", "64", *options, "--out"])
    whole = []
    for number, command in enumerate(commands):
        assert runner.run(*command, tmp_path / f"whole{number}") == 0
        whole.append(contents(tmp_path / f"whole{number}"))
    assert whole[0] != whole[1]

    out, codes = tmp_path / "out", []
    assert runner.run(*commands[0], out) == 0
    assert contents(out) == whole[0], "exports of one checkpoint are the same, bit for bit"
    (artifact,) = (path for path in out.iterdir() if path.suffix != ".bin")
    for kill in range(KILLS):
        codes.append(runner.run(*commands[(kill + 1) % 2], out, kill_in=(out, 0.001 * 2.0 ** (kill % 7))))
        if name != "quantize":
            open_runtime(artifact, threads=1).close()  # gives the .bin of a pair its name
        assert contents(out) in whole, f"kill {kill}"
    assert set(codes) <= {0, -signal.SIGKILL} and -signal.SIGKILL in codes
    for command, files in zip(commands, whole, strict=True):
        assert runner.run(*command, out) == 0
        assert contents(out) == files
        assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert list(temporary.iterdir()) == []
