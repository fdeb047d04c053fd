from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.unit.boards.board_trees import FIXTURES, board, lay_out
from tinydet.boards.telemetry import Reading, Telemetry, Throttling

EXPECTED: dict[str, Reading] = {
    "orin-nano": Reading(
        power_mw={"VDD_IN": 6340.0, "VDD_CPU_GPU_CV": 2028.8, "VDD_SOC": 1266.0},
        temperatures_c={"cpu-thermal": 48.312, "gpu-thermal": 46.906, "cv0-thermal": None},
        clocks_mhz={"cpu0": 1510.4, "cpu1": 729.6, "gpu": 624.75},
        cpu_load_percent=50.0,
        gpu_load_percent=42.3,
        npu_load_percent=None,
        memory_used_mib=3024.0,
        memory_total_mib=7802788 / 1024,
        power_mode="15W",
        throttling=None,
    ),
    "xavier-nx": Reading(
        power_mw={"VDD_IN": 9540.0, "VDD_CPU_GPU_CV": None},
        temperatures_c={"CPU-therm": 41.5, "PMIC-Die": 50.0},
        clocks_mhz={"cpu0": 1190.4, "gpu": 114.75},
        cpu_load_percent=20.0,
        gpu_load_percent=0.0,
        npu_load_percent=None,
        memory_used_mib=2000.0,
        memory_total_mib=6998.5,
        power_mode="MODE_15W_6CORE",
        throttling=None,
    ),
    "raspberry-pi-4": Reading(
        power_mw={},
        temperatures_c={"cpu-thermal": 71.575},
        clocks_mhz={"cpu": 1500.398464},
        cpu_load_percent=87.5,
        gpu_load_percent=None,
        npu_load_percent=None,
        memory_used_mib=500.0,
        memory_total_mib=3884360 / 1024,
        power_mode=None,
        throttling=Throttling(now=("under-voltage", "throttled"), since_start=("under-voltage", "throttled")),
    ),
    "raspberry-pi-5": Reading(
        power_mw={},
        temperatures_c={"cpu-thermal": 52.7},
        clocks_mhz={"cpu0": 2400.0, "cpu3": 1500.0, "gpu": 960.0},
        cpu_load_percent=50.0,
        gpu_load_percent=None,
        npu_load_percent=None,
        memory_used_mib=1000.0,
        memory_total_mib=8256624 / 1024,
        power_mode=None,
        throttling=Throttling(now=(), since_start=()),
    ),
    "core-ultra": Reading(
        # 262143328850 - 262143000000 + 14671150 uJ, and 21.5 J, in a second.
        power_mw={"package-0": 15000.0, "psys": 21500.0},
        temperatures_c={"acpitz": None, "x86_pkg_temp": 63.0},
        clocks_mhz={"cpu0": 4487.531},
        cpu_load_percent=10.0,
        gpu_load_percent=None,
        npu_load_percent=35.0,
        memory_used_mib=10000.0,
        memory_total_mib=31752.0,
        power_mode=None,
        throttling=None,
    ),
}
MISSING = {
    "orin-nano": ("temperature cv0-thermal", "NPU load", "throttling"),
    "xavier-nx": ("power VDD_CPU_GPU_CV", "NPU load", "throttling"),
    "raspberry-pi-4": ("power", "total power", "GPU load", "NPU load", "power mode"),
    "raspberry-pi-5": ("power", "total power", "GPU load", "NPU load", "power mode"),
    "core-ultra": ("temperature acpitz", "GPU load", "power mode", "throttling"),
}


def test_every_board_tree_is_tested() -> None:
    assert set(EXPECTED) == set(MISSING) == {file.stem for file in FIXTURES.glob("*.toml")}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_value_of_a_board_tree(tmp_path: Path, name: str) -> None:
    tree = board(name, tmp_path)
    telemetry = Telemetry(tree.root, tree.run, itertools.count(10.0).__next__)
    tree.pass_time()
    reading = telemetry.read()
    assert reading == EXPECTED[name]
    assert reading.missing == MISSING[name]


def test_the_whole_board_s_power(tmp_path: Path) -> None:
    assert [EXPECTED[name].total_power_mw for name in EXPECTED] == [6340.0, 9540.0, None, None, 21500.0]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("garbage", ["", "garbage\n", "12 34\n", "nan\n", "\x00\x01\xff", "1e3\n", "9" * 400])
def test_garbage_is_not_available_never_zero(tmp_path: Path, name: str, garbage: str) -> None:
    tree = board(name, tmp_path)
    telemetry = Telemetry(tree.root, lambda arguments: garbage, itertools.count(10.0).__next__)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name not in ("name", "type") and not file.name.endswith("_label"):
            file.write_text(garbage, encoding="latin-1")
    reading = telemetry.read()
    for values in (reading.power_mw, reading.temperatures_c, reading.clocks_mhz):
        assert set(values.values()) <= {None}
    assert (reading.cpu_load_percent, reading.gpu_load_percent, reading.npu_load_percent) == (None, None, None)
    assert (reading.memory_used_mib, reading.power_mode, reading.throttling) == (None, None, None)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_board_that_vanishes_in_mid_run(tmp_path: Path, name: str) -> None:
    tree = board(name, tmp_path / "board")
    telemetry = Telemetry(tree.root, tree.run, itertools.count(10.0).__next__)
    telemetry.read()
    shutil.rmtree(tree.root)
    reading = telemetry.read()
    assert reading.power_mw == reading.temperatures_c == {}
    assert reading.cpu_load_percent is None and reading.memory_used_mib is None


def test_ina238_in_microwatts(tmp_path: Path) -> None:

    folder = "sys/bus/i2c/devices/2-0044"
    lay_out(tmp_path, {f"{folder}/name": "ina238\n", f"{folder}/hwmon/hwmon3/power1_input": "23456000\n"})
    reading = Telemetry(tmp_path, lambda arguments: None).read()
    assert reading.power_mw == {"ina238 2-0044": 23456.0}


def test_read_machine_info() -> None:
    reading = Telemetry().read()
    assert reading.memory_total_mib is not None and reading.memory_used_mib is not None
    assert 0 < reading.memory_used_mib < reading.memory_total_mib


def test_numbers_of_any_length_and_script_are_set_aside(tmp_path: Path) -> None:
    digits = "9" * 5000
    texts = {
        "proc/stat": f"cpu {digits} 0 0 0 0 0 0 0 0 0\n",
        "proc/meminfo": f"MemTotal: {digits} kB\nMemAvailable: {digits} kB\n",
        "sys/class/accel/accel0/device/npu_busy_time_us": "\u0661\u0662\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    answers = {"get_throttled": f"throttled=0x{digits}", "measure_clock": f"frequency(0)={digits}"}
    telemetry = Telemetry(tmp_path, run=lambda command: answers.get(command[1]))
    reading = telemetry.read()
    assert (reading.memory_used_mib, reading.cpu_load_percent, reading.npu_load_percent) == (None, None, None)
    assert (reading.clocks_mhz, reading.throttling) == ({}, None)
