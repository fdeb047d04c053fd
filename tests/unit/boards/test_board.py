from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.boards.board_trees import board, lay_out
from tinydet.boards.board import KNOWN_BOARDS, known_boards, read_board, recognize_board
from tinydet.edge.errors import InputError


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("orin-nano", "NVIDIA Jetson Orin Nano"),
        ("xavier-nx", "NVIDIA Jetson Xavier NX"),
        ("raspberry-pi-4", "Raspberry Pi 4"),
        ("raspberry-pi-5", "Raspberry Pi 5"),
    ],
)
def test_a_board_tree_is_recognized(tmp_path: Path, fixture: str, name: str) -> None:
    found = recognize_board(board(fixture, tmp_path).root, "aarch64")
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        ("nvidia,p3768-0000+p3767-0005-super", "NVIDIA Jetson Orin Nano, Super mode"),
        ("nvidia,p3768-0000+p3767-0000", "NVIDIA Jetson Orin NX"),
        ("nvidia,p3737-0000+p3701-0005", "NVIDIA Jetson AGX Orin"),
        ("nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264", "NVIDIA Jetson Thor"),
        ("raspberrypi,model-zero-2-w", "Raspberry Pi Zero 2 W"),
        ("somebody,else", "64-bit Arm computer"),
    ],
)
def test_device_trees(tmp_path: Path, compatible: str, name: str) -> None:
    lay_out(tmp_path, {"proc/device-tree/compatible": f"{compatible}\0other,part\0"})
    found = recognize_board(tmp_path, "aarch64")
    assert found is not None and found.name == name


@pytest.mark.parametrize(("pci_id", "npu"), [("0x7d1d", "3720"), ("0x643e", "4000"), ("0xb03e", "5010")])
def test_npus(tmp_path: Path, pci_id: str, npu: str) -> None:
    lay_out(tmp_path, {"sys/class/accel/accel0/device/device": f"{pci_id}\n"})
    found = recognize_board(tmp_path, "x86_64")
    assert found is not None and f"NPU {npu}" in found.name


def test_generic_computers(tmp_path: Path) -> None:
    found = recognize_board(tmp_path, "x86_64")
    assert found is not None and found.name == "x86-64 computer"
    assert recognize_board(tmp_path, "riscv64") is None


def test_every_known_board_reads_and_has_its_own_name() -> None:
    boards = known_boards()
    assert len({board.name for board in boards}) == len(boards) == len(list(KNOWN_BOARDS.glob("*.toml"))) >= 14


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fans = 2", "unknown field fans"),
        ('telemetry = ["mood"]', "expected some of power"),
        ('precision = "int4"', "fp32, fp16 or int8"),
        ('runtimes = ["caffe"]', "expected some of onnxruntime, openvino, tflite, tensorrt, got 'caffe'"),
    ],
)
def test_a_wrong_board_file_is_refused(tmp_path: Path, line: str, message: str) -> None:
    lines = (KNOWN_BOARDS / "generic-x86.toml").read_text().splitlines()
    kept = [text for text in lines if not text.startswith(line.partition(" ")[0] + " ")]
    (tmp_path / "x.toml").write_text("\n".join([line, *kept]))
    with pytest.raises(InputError, match=message):
        read_board(tmp_path / "x.toml")
