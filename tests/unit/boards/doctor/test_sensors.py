from __future__ import annotations

from pathlib import Path

from tests.unit.boards.board_trees import board
from tinydet.boards.board import known_boards
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK
from tinydet.boards.doctor.sensors import sensor_findings
from tinydet.boards.telemetry import Telemetry


def test_values_of_a_jetson(tmp_path: Path) -> None:
    tree = board("orin-nano", tmp_path)
    findings = {finding.name: finding for finding in sensor_findings(None, Telemetry(tree.root, tree.run).read())}
    assert {finding.state for finding in findings.values()} == {OK}
    assert findings["power"].seen == "6.3 W, the whole board"
    assert findings["power mode"].seen == "15W"
    assert findings["temperature"].seen == "48 °C (cpu-thermal, the warmest)"
    assert findings["clock"].seen == "CPU 1510 MHz, GPU 625 MHz"


def test_throttling(tmp_path: Path) -> None:
    for name, state in (("raspberry-pi-4", MISSING), ("raspberry-pi-5", OK)):
        tree = board(name, tmp_path / name)
        *_, throttling = sensor_findings(None, Telemetry(tree.root, tree.run).read())
        assert (throttling.name, throttling.state) == ("throttling", state)
        if state == OK:
            assert (throttling.seen, throttling.fix) == ("now: none; since boot: none", None)
        else:
            assert "now: under-voltage" in throttling.seen and "power supply" in str(throttling.fix)


def test_missing_sensors_are_not_available(tmp_path: Path) -> None:
    for known in known_boards():
        findings = sensor_findings(known, Telemetry(tmp_path, lambda arguments: None).read())
        assert {finding.state for finding in findings} == {NOT_AVAILABLE}
        assert {finding.name for finding in findings} <= set(known.telemetry)
