"""Outputs of `tinydet detect` that cannot be: refused before anything is read or written."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.paths import REPOSITORY
from tests.unit.edge.sources.test_sources import write_clip
from tinydet import open_source
from tinydet.edge.commands.cli import main

KILLS = int(os.environ.get("TINYDET_KILLS", "3"))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_spot_detector(tmp_path / "spots.onnx", spot_metadata(class_names=("car", "person")))
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "settings.json").write_text('model = "spots.onnx"\nsource = "clip.mp4"\n')
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "linked.json").symlink_to("settings.json")
    os.link(tmp_path / "clip.mp4", tmp_path / "clip.json")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--jsonl -", "--jsonl -: cannot be standard input or output"),
        ("--coco -", "--coco -: cannot be standard input or output"),
        ("--save -", "--save -: cannot be standard input or output"),
        ("--jsonl a.json --coco a.json", "--coco a.json is also --jsonl"),
        ("--jsonl a.json --coco ./x/../a.json", "is also --jsonl"),
        ("--save a.json --coco a.json", "--coco a.json is also --save"),
        ("--save a.json/pictures --coco a.json", "is inside --coco a.json"),
        ("--config settings.json --jsonl settings.json", "is also --config"),
        ("--config settings.json --coco linked.json", "is also --config"),
        ("--coco clip.json", "is also SOURCE"),
        ("--coco folder.json", "cannot write file folder.json: it is a folder"),
        ("--jsonl pipe.jsonl", "cannot write file pipe.jsonl: it is a named pipe"),
        ("--save pipe.jsonl", "expected a folder, got a named pipe"),
        ("--save clip.mp4", "expected a folder, got a file"),
        (f"--jsonl {'n' * 250}.jsonl", "expected a name of 1 to 255 bytes"),
    ],
)
def test_outputs_that_cannot_be(work: Path, options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.lstat().st_mtime_ns for file in work.iterdir()}
    assert main(["detect", "spots.onnx", "clip.mp4", *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert {file: file.lstat().st_mtime_ns for file in work.iterdir()} == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('source = ""', "source: expected a value, got nothing"),
        ('source = "clip.mp4"\nclasses = " "', "classes: expected a value, got nothing"),
        ('source = "clip.mp4"\njsonl = "-"', "--jsonl -: cannot write to standard output"),
        ('source = "clip.mp4"\nscore = 2.0', "score: expected 0 to 1"),
        ('source = "clip.mp4"\nscore = nan', "score: expected a finite number"),
        ('source = "clip.mp4"\nthreads = 9999', "threads: expected a whole number, 1 to 256"),
        ('source = "clip.mp4"\njsonl = "a\\u0000.jsonl"', "no file or folder can have the name"),
        ('source = "clip\\u0000.mp4"', "no file or address can have this name"),
        ('source = "clip.mp4"\nsave = "a\\u0000"', "no file or folder can have the name"),
    ],
)
def test_values_of_a_config_file_are_checked(
    work: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "flight.toml").write_text(f'model = "spots.onnx"\n{line}\n')
    assert main(["detect", "--config", "flight.toml"]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("error: ")
    assert message in shown


def test_names_as_long_as_the_file_system_takes(work: Path) -> None:
    name = "n" * 249 + ".jsonl"
    assert main(["detect", "spots.onnx", "clip.mp4", "--jsonl", name]) == 0
    assert len((work / name).read_text().splitlines()) == 10


@pytest.mark.slow
def test_a_password_stays_secret(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    address = "rtsp://admin:secret@127.0.0.1:1/live"
    assert main(["detect", "spots.onnx", address, "--jsonl", "a.jsonl", "--serve", "0", "-vv"]) == 2
    shown = capfd.readouterr()
    assert "admin:***@127.0.0.1" in shown.err
    assert "secret" not in shown.err + shown.out


def feed(pipe: IO[bytes], stop: threading.Event) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    image[80:100, 80:100] = 255
    try:
        while not stop.is_set():
            pipe.write(image.tobytes())
            time.sleep(0.005)
    except OSError:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("source", ["stdin://320x240@50", "long.mp4"])
def test_a_killed_flight_leaves_nothing_half(work: Path, source: str) -> None:
    """$TINYDET_KILLS times, at other moments each: old or new files, whole lines, no leftovers after the next run."""
    is_live = source != "long.mp4"
    write_clip(work / "long.mp4", frames=12)
    line = f"detect spots.onnx {source} --save out --jsonl out/a.jsonl --coco out/a.json --serve 0".split()
    command = [sys.executable, "-m", "tinydet.edge.commands.cli", *line]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def fly(kill_after_s: float | None) -> int:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        assert child.stdin is not None
        stop = threading.Event()
        feeder = threading.Thread(target=feed, args=(child.stdin, stop))
        feeder.start()
        deadline_s = time.monotonic() + 60
        while not list(work.glob(f"out/.*.{child.pid}-*")) and child.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.002)
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            child.send_signal(signal.SIGKILL)
        elif is_live:
            time.sleep(1)
            child.send_signal(signal.SIGTERM)
        stop.set()
        code = child.wait(60)
        feeder.join()
        child.stdin.close()
        return code

    killed = 0
    for kill in range(KILLS):
        killed += fly(0.002 * 2.0 ** (kill % 8)) == -signal.SIGKILL
        check_outputs_are_whole(work / "out", may_be_torn=True)
    assert killed > 0
    assert fly(None) == 0
    assert [file.name for file in (work / "out").iterdir() if "partial" in file.name] == []
    check_outputs_are_whole(work / "out", may_be_torn=False)
    assert (work / "out" / "a.json").exists()


def check_outputs_are_whole(folder: Path, *, may_be_torn: bool) -> None:
    for file in folder.iterdir():
        if file.name.startswith("."):
            continue
        if file.suffix == ".jsonl":
            lines = file.read_text().split("\n")
            assert lines[-1] == "" or may_be_torn
            for line in lines[:-1]:
                assert json.loads(line)["frame"] >= 0
        elif file.suffix == ".json":
            assert json.loads(file.read_text())["images"]
        elif file.suffix == ".mp4":
            assert len(list(open_source(file))) == 12
        elif not may_be_torn and file.stat().st_size > 0:  # Matroska plays up to where the power was cut
            capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
            assert capture.isOpened() or file.stat().st_size < 4096
            capture.release()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_a_flight_whose_source_waits(work: Path, number: signal.Signals) -> None:
    """The writer of standard input stops in the middle of a frame, and stays."""
    line = ["detect", "spots.onnx", "stdin://320x240@50", "--jsonl", "a.jsonl", "--coco", "a.json", "--save", "out"]
    child = subprocess.Popen(
        [sys.executable, "-m", "tinydet.edge.commands.cli", *line],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert child.stdin is not None
    child.stdin.write(bytes(5 * 320 * 240 * 3 + 1000))
    child.stdin.flush()
    while not (work / "a.jsonl").exists() or not (work / "a.jsonl").stat().st_size:
        time.sleep(0.02)
    child.send_signal(number)
    start_s = time.monotonic()
    assert child.wait(20) == 0
    assert time.monotonic() - start_s < 9
    assert json.loads((work / "a.json").read_text())["images"]
    child.stdin.close()


@pytest.mark.slow
def test_the_first_signal_ends_a_flight_that_waits_for_a_server(work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/live"
        line = ["detect", "spots.onnx", address, "--jsonl", "a.jsonl"]
        child = subprocess.Popen(
            [sys.executable, "-m", "tinydet.edge.commands.cli", *line],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        server.settimeout(20)
        connection, _ = server.accept()
        with connection:
            child.send_signal(signal.SIGTERM)
            assert child.wait(8) == -signal.SIGTERM, "nothing was opened yet that had to be closed"
    assert not (work / "a.jsonl").exists()
