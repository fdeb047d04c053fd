from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.boards.board_trees import lay_out
from tinydet.boards.board import recognize_board
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK
from tinydet.boards.doctor.system import disk_finding, npu_findings, python_finding


def test_32_bit_arm_needs_an_older_python() -> None:
    assert python_finding("armv7l", release=(3, 12)).state == MISSING
    assert python_finding("armv7l", release=(3, 11)).state == OK
    assert python_finding("aarch64", release=(3, 12)).state == OK


@pytest.mark.parametrize(
    ("device", "readable", "state"),
    [(True, True, OK), (True, False, NOT_AVAILABLE), (False, True, NOT_AVAILABLE)],
)
def test_an_npu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: bool, readable: bool, state: str) -> None:
    lay_out(tmp_path, {"sys/class/accel/accel0/device/device": "0x643e\n"})
    if device:
        lay_out(tmp_path, {"dev/accel/accel0": ""})
    monkeypatch.setattr(os, "access", lambda path, mode: readable)
    board = recognize_board(tmp_path, "x86_64")
    (npu,) = npu_findings(board, tmp_path)
    assert npu.state == state
    assert (npu.fix is None) == (state == OK)
    if device and not readable:
        assert board is not None and npu.fix in board.install


def test_a_board_without_an_npu(tmp_path: Path) -> None:
    assert npu_findings(recognize_board(tmp_path, "x86_64"), tmp_path) == []


def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GiB free" in disk_finding(tmp_path).seen
    monkeypatch.setattr("tinydet.boards.doctor.system.RESERVE_BYTES", 1 << 80)
    assert disk_finding(tmp_path).state == MISSING
    assert disk_finding(tmp_path / "missing").state == NOT_AVAILABLE
