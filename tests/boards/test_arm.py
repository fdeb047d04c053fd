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
import pytest

from tests.models import write_spot_detector
from tests.paths import REPOSITORY
from tinydet.boards.arm.emulator import CPUS, EmulatedBoard
from tinydet.boards.arm.measure import Result, judged_classes
from tinydet.boards.arm.verify import MAX_AP_DIFFERENCE, MAX_BASE_MB, base_failures, failures, main, notes
from tinydet.boards.doctor.runtime_trial import MODELS
from tinydet.boards.machine import this_machine
from tinydet.edge.commands.cli import main as tinydet
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.images import write_image

FOLDER = REPOSITORY / "build" / "arm"
PACKAGES = ["extras"]


def board(cpu: str) -> EmulatedBoard:
    try:
        return EmulatedBoard(FOLDER, cpu)
    except InputError as error:
        pytest.skip(str(error))


def write_dataset(folder: Path, counts: dict[str, int]) -> Path:
    """One black image with that many objects of each class."""
    write_image(folder / "val" / "1.png", np.zeros((64, 64, 3), np.uint8))
    names = [name for name, count in counts.items() for _ in range(count)]
    ids = {name: index for index, name in enumerate(counts, start=1)}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 64}],
        "annotations": [
            {"id": index, "image_id": 1, "category_id": ids[name], "bbox": [1, 1, 9, 9]}
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


def result(**changes: object) -> Result:
    fields = {
        "cpu": "cortex-a76",
        "package": "ai-edge-litert",
        "runtime": "litert 1",
        "ap": 0.5,
        "ap_here": 0.5,
        "ap_all": 0.4,
        "ap_all_here": 0.4,
        "detected": 3,
        "float_instructions": 250,
        "int8_instructions": 100,
    }
    return Result(**(fields | changes))  # type: ignore[arg-type]  # any field


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_an_emulated_board_detects_what_this_machine_detects(cpu: str, tmp_path: Path) -> None:
    emulated = board(cpu)
    artifact = write_spot_detector(tmp_path / "spots.onnx")
    image_rgb = np.zeros((64, 64, 3), np.uint8)
    image_rgb[8:12, 20:24] = 255
    write_image(tmp_path / "spot.png", image_rgb)
    detect = ["detect", str(artifact), str(tmp_path / "spot.png"), "--jsonl"]
    assert tinydet([*detect, str(tmp_path / "here.jsonl")]) == 0
    emulated.python(PACKAGES, "-m", "tinydet", *detect, tmp_path / "there.jsonl")
    here, there = (json.loads((tmp_path / name).read_text()) for name in ("here.jsonl", "there.jsonl"))
    assert len(here["detections"]) == 1
    assert there["detections"] == here["detections"]


@pytest.mark.slow
def test_instructions_are_counted_and_the_count_repeats(tmp_path: Path) -> None:
    emulated = board("cortex-a76")
    artifact = write_spot_detector(tmp_path / "spots.onnx")
    first, second = (emulated.instructions(PACKAGES, artifact) for _ in range(2))
    assert 1e4 < first < 1e8
    assert second == pytest.approx(first, rel=0.02)


@pytest.mark.slow
def test_emulated_boards_are_recognized_and_do_not_disturb_each_other() -> None:
    boards = [board(cpu) for cpu in CPUS]
    recognize = "from tinydet.boards.board import recognize; print(recognize().name)"
    names = [emulated.python(PACKAGES, "-c", recognize).strip() for emulated in boards]
    assert names == ["Raspberry Pi 4", "Raspberry Pi 5"]


@pytest.mark.slow
def test_programs_on_the_board_can_start_their_own_python() -> None:
    start = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import platform; print(platform.machine())'])"
    )
    assert board("cortex-a76").python(PACKAGES, "-c", start) == "aarch64\n"


@pytest.mark.slow
def test_what_fails_on_the_board_is_told() -> None:
    emulated = board("cortex-a72")
    with pytest.raises(InputError, match="exit code 1, saying: ValueError: too hot"):
        emulated.python(PACKAGES, "-c", "raise ValueError('too hot')")


@pytest.mark.parametrize("cpu", CPUS)
def test_cpuinfo_is_as_on_the_board(cpu: str, tmp_path: Path) -> None:
    text = CPUS[cpu].cpuinfo()
    assert text.count("processor\t") == 4
    assert "CPU implementer\t: 0x41\n" in text
    assert ("CPU part\t: 0xd08\n" in text) == (cpu == "cortex-a72")
    assert ("CPU variant\t: 0x4\n" in text) == (cpu == "cortex-a76")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(text)
    assert this_machine(tmp_path).name  # its reader takes the text


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
    for name in ("root/usr/bin/python3.11", "count.so", "base"):
        (tmp_path / "board" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "board" / name).touch()
    data = write_dataset(tmp_path / "data", {"spot": 1})
    shutil.copytree(MODELS, tmp_path / "models")  # what they say of the data is written beside them
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


def test_a_machine_without_qemu_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: no QEMU: `make verify-arm` installs it\n"


def test_a_folder_that_was_not_set_up_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/true")
    with pytest.raises(InputError, match=r"no emulated board in .*python3\.11 is missing.*verify-arm"):
        EmulatedBoard(tmp_path, "cortex-a72")


def test_a_drift_of_ap_and_blindness_are_failures() -> None:
    assert failures([result(), result(ap=0.5 - MAX_AP_DIFFERENCE / 2)]) == []
    (drift,) = failures([result(ap=0.49)])
    assert drift == "litert 1 on cortex-a76: INT8 AP is 0.4900, here it is 0.5000"
    (better,) = failures([result(ap=0.51)])
    assert "INT8 AP is 0.5100" in better
    rare = result(ap_all=0.38)
    assert failures([rare]) == []
    (told,) = notes([rare])
    assert told.startswith("litert 1 on cortex-a76: INT8 AP over all classes is 0.3800, here it is 0.4000; not judged")
    (blind,) = failures([result(detected=0)])
    assert blind == "litert 1 on cortex-a76: nothing was detected in the first image"


def test_classes_with_few_objects_are_not_judged(tmp_path: Path) -> None:
    def judged(cars: int) -> list[str]:
        return judged_classes(read_dataset(write_dataset(tmp_path, {"car": cars, "bus": 2})))

    assert judged(50) == ["car"]
    assert judged(49) == ["car", "bus"]


def test_int8_that_saves_too_little_fails_or_is_told() -> None:
    others = {"int8_instructions": 110, "float_instructions": 70}
    results = [
        result(float_instructions=210),
        result(cpu="cortex-a72", float_instructions=110),
        result(
            cpu="cortex-a72", package="onnxruntime", runtime="onnxruntime 1", **(others | {"float_instructions": 143})
        ),
        result(cpu="cortex-a72", package="openvino", runtime="openvino 1", **others),
    ]
    (slow,) = failures(results)
    assert slow == "litert 1 on cortex-a76: float takes 2.10 times as many instructions as INT8, less than 2.2"
    assert [line.partition(":")[0] for line in notes(results)] == ["litert 1 on cortex-a72", "openvino 1 on cortex-a72"]
    assert "takes 1.10 times as many instructions as INT8, less than 1.3" in notes(results)[0]


def test_profiles_prefer_the_runtime_whose_int8_takes_the_fewest_instructions() -> None:
    better = result(package="onnxruntime", runtime="onnxruntime 1", float_instructions=250, int8_instructions=99)
    (line,) = failures([result(), better])
    assert line == "onnxruntime 1 on cortex-a76: fewest INT8 instructions, but the board's profile prefers tflite"


def test_a_heavy_base_install_is_a_failure(tmp_path: Path) -> None:
    assert base_failures(tmp_path) == []
    (tmp_path / "torch").mkdir()
    with (tmp_path / "torch" / "lib.so").open("wb") as file:
        file.truncate((MAX_BASE_MB + 1) * 10**6)
    torch, large = base_failures(tmp_path)
    assert torch == "the base install holds torch"
    assert large.startswith("the base install takes 151 MB")
