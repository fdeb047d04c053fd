from __future__ import annotations

from pathlib import Path

import pytest

from tinydet.boards.machine_info import read_machine_info

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 170\nmodel name\t: Intel(R) Core(TM) Ultra 7 155H\n"
RASPBERRY_PI = "processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"), [(X86, "Intel(R) Core(TM) Ultra 7 155H"), (RASPBERRY_PI, "Raspberry Pi 5 Model B Rev 1.0")]
)
def test_the_cpu_tells_its_name(tmp_path: Path, cpuinfo: str, name: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert read_machine_info(tmp_path).name == name


def test_a_board_with_a_device_tree_is_called_by_it(tmp_path: Path) -> None:
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    (tmp_path / "proc" / "device-tree" / "model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    (tmp_path / "proc" / "cpuinfo").write_text(X86)
    assert read_machine_info(tmp_path).name == "NVIDIA Jetson Orin Nano Developer Kit"


def test_there_is_always_some_name(tmp_path: Path) -> None:
    machine = read_machine_info(tmp_path)
    assert machine.name
    assert machine.cores >= 1
