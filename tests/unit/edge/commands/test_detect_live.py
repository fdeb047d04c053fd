"""`tinydet detect` in flight: as a process, with a real pipe, a real service socket and real signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.paths import REPOSITORY
from tests.unit.edge.sources.test_sources import write_clip
from tinydet import Detector, Pipeline, Tracker
from tinydet.edge.commands.cli import main
from tinydet.edge.sources.opening import open_source


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_spot_detector(tmp_path / "spots.onnx", spot_metadata(class_names=("car", "person")))
    return tmp_path


def feed(pipe: IO[bytes], stop: threading.Event) -> None:
    """Frames of 320x240 with one spot, fifty a second."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[80:100, 80:100] = 255
    try:
        while not stop.is_set():
            pipe.write(image.tobytes())
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_flight_ends_in_order(work: Path, number: signal.Signals) -> None:
    """By the config file, told to the service manager; every output is whole."""
    (work / "flight.toml").write_text(
        'model = "spots.onnx"\nsource = "stdin://320x240@50"\nsave = "out"\njsonl = "a.jsonl"\ncoco = "a.json"\n'
        "threads = 1\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        manager.settimeout(20)
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tinydet.edge.commands.cli",
                "detect",
                "--config",
                "flight.toml",
                "--jsonl",
                "b.jsonl",
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"NOTIFY_SOCKET": str(work / "notify"), "PYTHONPATH": str(REPOSITORY)},
        )
        assert child.stdin is not None and child.stderr is not None
        stop = threading.Event()
        feeder = threading.Thread(target=feed, args=(child.stdin, stop))
        feeder.start()
        assert manager.recv(100) == b"READY=1\nWATCHDOG=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        child.send_signal(number)
        while (told := manager.recv(100)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"
    shown = child.stderr.read().decode()
    assert child.wait(20) == 0, shown
    stop.set()
    feeder.join()
    child.stderr.close()
    lines = [json.loads(line) for line in (work / "b.jsonl").read_text().splitlines()]
    assert len(lines) >= 10
    assert not (work / "a.jsonl").exists(), "the command line comes before the file"
    assert {len(line["detections"]) for line in lines} == {lines[0]["detections"] and len(lines[0]["detections"])}
    assert f"{len(lines)} frames" in shown
    assert f"{lines[-1]['dropped']} frames were dropped" in shown or lines[-1]["dropped"] <= 1
    assert len(json.loads((work / "a.json").read_text())["images"]) == len(lines)
    (video,) = (work / "out").iterdir()
    assert len(list(open_source(video))) >= 8


def test_without_its_service_manager_a_flight_goes_on(work: Path) -> None:
    write_clip(work / "clip.mp4", frames=5)
    command = [sys.executable, "-m", "tinydet", "detect", "spots.onnx", "clip.mp4", "--jsonl", "a.jsonl"]
    environment = {"NOTIFY_SOCKET": str(work / "none" / "notify"), "PYTHONPATH": str(REPOSITORY)}
    child = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert child.returncode == 0, child.stderr
    assert child.stderr.count("systemd: cannot notify") == 1
    assert len((work / "a.jsonl").read_text().splitlines()) == 5


def test_modules_of_the_users_folder_are_not_ours(work: Path) -> None:
    """A user's file of the name of any module, but for those that `python -m` itself reads from there."""
    start = "import sys, runpy, importlib.util, __future__; print(*sys.modules)"
    taken = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True).stdout.split()
    ours = {"edge", "training", "quantization", "converters", "boards", "tests", "numpy", "cv2", "rich", "onnxruntime"}
    for name in (set(sys.stdlib_module_names) | ours) - set(taken):
        (work / f"{name}.py").write_text("raise RuntimeError(__name__)")
    write_clip(work / "clip.mp4", frames=3)
    for arguments in (["--version"], ["--help"], ["detect", "spots.onnx", "clip.mp4", "--save", "out"]):
        child = subprocess.run([sys.executable, "-m", "tinydet", *arguments], capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
    assert (work / "out" / "clip.mp4").exists()


@pytest.mark.slow
def test_an_interrupted_file_is_told_by_the_exit_code(work: Path) -> None:
    write_clip(work / "clip.mp4", frames=250)
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_COMMAND, "detect", "spots.onnx", "clip.mp4", "--save", "out"],
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    for _ in range(200):
        if list(work.glob("out/.*partial*")):
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, shown = child.communicate(timeout=20)
    assert child.returncode == 130, shown
    assert b"stopped before the end" in shown
    assert 1 <= len(list(open_source(work / "out" / "clip.mp4"))) < 250


SLOW_COMMAND = """
import sys, time
from tinydet import Detector, Pipeline, Tracker
from tinydet.edge.commands.cli import main
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime
infer = OnnxRuntime.infer
def slow(self, images):
    time.sleep(0.1)
    return infer(self, images)
OnnxRuntime.infer = slow
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('model = "spots.onnx"\nsauce = "x"\n', "flight.toml: unknown field sauce; did you mean source?"),
        ('model = "spots.onnx"\n', "flight.toml: the field source is missing"),
        ('model = "spots.onnx"\nsource = "x"\nscore = "high"\n', "flight.toml: score: expected a number, got 'high'"),
        ('model = "spots.onnx"\nsource = "webcam://0"\n', "unknown scheme webcam"),
        (
            'model = "spots.onnx"\nsource = "x"\nclasses = "person, car"\n',
            "spots.onnx detects car,person, but --classes expects person,car: choose another model",
        ),
    ],
)
def test_a_wrong_config_is_one_line(work: Path, capsys: pytest.CaptureFixture[str], content: str, message: str) -> None:
    (work / "flight.toml").write_text(content)
    assert main(["detect", "--config", "flight.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_model_or_source(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect"]) == 2
    assert "detect needs a model, as argument or in a --config file" in capsys.readouterr().err
    assert main(["detect", "spots.onnx"]) == 2
    assert "detect needs a source" in capsys.readouterr().err


def test_a_clip_is_tracked(work: Path) -> None:
    writer = cv2.VideoWriter("clip.mp4", cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (320, 240))
    for index in range(6):
        image = np.zeros((240, 320, 3), np.uint8)
        image[80:100, 80 + 2 * index : 100 + 2 * index] = 255
        writer.write(image)
    writer.release()
    assert main(["detect", "spots.onnx", "clip.mp4", "--track", "--jsonl", "a.jsonl"]) == 0
    identities = [
        {found["track"] for found in json.loads(line)["detections"]}
        for line in (work / "a.jsonl").read_text().splitlines()
    ]
    assert identities[:3] == [{1}] * 3  # the spot's one identity, as long as the spot detector sees it
    assert set().union(*identities) == {1}
    in_python = [
        [] if result.track_ids is None else result.track_ids.tolist()
        for result in Pipeline(open_source("clip.mp4"), Detector("spots.onnx"), Tracker(frames_per_s=10))
    ]
    assert [set(track_ids) for track_ids in in_python] == identities


def test_slices_and_the_frame_as_a_whole(work: Path) -> None:
    """A speck that is gone when the frame is scaled down, and a field whose box is as large as that scale makes it."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[8:12, 8:12] = image[100:150, 100:150] = 255
    cv2.imwrite("still.png", image)
    widths = {}
    for options in ([], ["--slice"], ["--slice", "full"]):
        assert main(["detect", "spots.onnx", "still.png", "--jsonl", "a.jsonl", *options]) == 0
        found = json.loads((work / "a.jsonl").read_text())["detections"]
        boxes = np.array([detection["box_xyxy_px"] for detection in found])
        widths[" ".join(options)] = set(np.round(boxes[:, 2] - boxes[:, 0]).tolist())
    assert widths == {"": {25}, "--slice": {8}, "--slice full": {8, 25}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--track"], "--track needs a video or a live source"),
        (["--camera", "camera.toml"], "--camera has no effect without --mavlink"),
        (["--serve", "somewhere"], "--serve 'somewhere': expected HOST:PORT or PORT"),
        (["--mavlink", "tcp:1"], "expected udpout:"),
        (["--device", "npu"], "cannot run spots.onnx on npu: onnxruntime computes on cpu, gpu, tensorrt"),
        (["--config", "flight.toml"], "flight.toml: slice: expected tiles or full, got 'halves'"),
    ],
)
def test_what_cannot_be_is_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:

    (work / "flight.toml").write_text('slice = "halves"\n')
    cv2.imwrite("still.png", np.zeros((64, 64, 3), np.uint8))
    assert main(["detect", "spots.onnx", "still.png", *options]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_the_live_page_is_up_while_it_detects(work: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tinydet.edge.commands.cli",
        "detect",
        "spots.onnx",
        "stdin://320x240@50",
        "--serve",
        str(port),
    ]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert child.stdin is not None
    stop = threading.Event()
    feeding = threading.Thread(target=feed, args=(child.stdin, stop))
    feeding.start()
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    assert b"<html" in answer.read()
                break
            except OSError:
                assert time.monotonic() < deadline and child.poll() is None
                time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    finally:
        stop.set()
        child.kill()
        feeding.join()
