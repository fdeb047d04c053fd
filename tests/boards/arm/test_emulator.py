from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models import write_spot_detector
from tests.paths import REPOSITORY
from tinydet.boards.arm.emulator import CPUS, EmulatedBoard
from tinydet.boards.machine_info import read_machine_info
from tinydet.edge.commands.cli import main as tinydet
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image

FOLDER = REPOSITORY / "build" / "arm"
PACKAGES = ["extras"]


def board(cpu: str) -> EmulatedBoard:
    try:
        return EmulatedBoard(FOLDER, cpu)
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_an_emulated_board_detects_what_read_machine_info_detects(cpu: str, tmp_path: Path) -> None:
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
    recognize = "from tinydet.boards.board import recognize_board; print(recognize_board().name)"
    names = [emulated.python(PACKAGES, "-c", recognize).strip() for emulated in boards]
    assert names == ["Raspberry Pi 4", "Raspberry Pi 5"]


@pytest.mark.slow
def test_programs_on_the_board_can_start_their_own_python() -> None:
    start = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import platform; print(platform.machine())'])"
    )
    assert board("cortex-a76").python(PACKAGES, "-c", start) == "aarch64\n"


@pytest.mark.slow
def test_a_failure_on_the_board_is_reported() -> None:
    emulated = board("cortex-a72")
    with pytest.raises(InputError, match="ended with exit code 1: ValueError: too hot"):
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
    assert read_machine_info(tmp_path).name  # its reader takes the text


def test_a_folder_that_was_not_set_up_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/true")
    with pytest.raises(InputError, match=r"no emulated board in .*python3\.11 is missing.*verify-arm"):
        EmulatedBoard(tmp_path, "cortex-a72")
