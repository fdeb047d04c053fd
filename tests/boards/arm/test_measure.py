from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tinydet.boards.arm.measure import judged_classes
from tinydet.boards.doctor.runtime_trial import MODELS
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.files.images import write_image


def write_dataset(folder: Path, counts: dict[str, int]) -> Path:
    """One black image with that many objects of each class."""
    write_image(folder / "val" / "1.png", np.zeros((64, 64, 3), np.uint8))
    names = [name for name, count in counts.items() for _ in range(count)]
    ids = {name: index for index, name in enumerate(counts, start=1)}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 64}],
        "annotations": [
            {"id": index, "image_id": 1, "category_id": ids[name], "bbox": [index % 50, index // 50, 9, 9]}
            for index, name in enumerate(names)
        ],
        "categories": [{"id": index, "name": name} for name, index in ids.items()],
    }
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / "val.json").write_text(json.dumps(content))
    return folder


def is_running(pid: str) -> bool:
    """Not gone, and not dead but for a parent that has not asked yet."""
    stat = Path("/proc", pid, "stat")
    return stat.exists() and ") Z " not in stat.read_text()


ENDLESS = """#!/bin/sh
sleep 150 &
echo $$ $! >>"{started}"
wait
"""


"""In QEMU's place: a program that starts another and does not end. `{started}`: file for the process ids of both."""


VERIFY = """import signal, sys
from pathlib import Path
from tinydet.boards.arm.measure import FLOATS, measure
from tinydet.edge.commands.cli import exit_code
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
folder, artifacts, data = map(Path, sys.argv[1:])
endings = {"onnx": "onnx", "openvino": "xml", "tflite": "tflite"}
files = {(f, p): artifacts / f"spots.{endings[f]}" for f, floats in FLOATS.items() for p in (floats, "int8")}
sys.exit(exit_code(lambda: len(measure(folder, files, data))))
"""


def test_ctrl_c_ends_what_runs_on_the_boards(tmp_path: Path) -> None:
    for name in ("root/usr/bin/python3.11", "count_instructions.so", "base"):
        (tmp_path / "board" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "board" / name).touch()
    data = write_dataset(tmp_path / "data", {"spot": 1})
    shutil.copytree(MODELS, tmp_path / "models")  # reports are written beside them
    started = tmp_path / "started"
    started.touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qemu-aarch64").write_text(ENDLESS.format(started=started))
    (tmp_path / "bin" / "qemu-aarch64").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", VERIFY, *map(str, (tmp_path / "board", tmp_path / "models", data))]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline_s = time.monotonic() + 60
        while len(started.read_text().split()) < 2 * len(os.sched_getaffinity(0)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
    pids = started.read_text().split()
    assert len(pids) == 2 * len(os.sched_getaffinity(0))
    assert not [pid for pid in pids if is_running(pid)]


def test_classes_with_few_objects_are_not_judged(tmp_path: Path) -> None:
    def judged(cars: int) -> list[str]:
        return judged_classes(read_dataset(write_dataset(tmp_path, {"car": cars, "bus": 2})))

    assert judged(50) == ["car"]
    assert judged(49) == ["car", "bus"]
