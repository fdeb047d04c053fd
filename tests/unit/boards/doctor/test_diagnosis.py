from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.boards.board_trees import Tree, board
from tests.unit.boards.doctor.trials import ABSENT, WORKS
from tinydet.boards.doctor import diagnosis
from tinydet.boards.doctor.diagnosis import Diagnosis, diagnose
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.boards.doctor.runtime_trial import RuntimeTrial
from tinydet.edge.commands.cli import main

#: Blocks the runtimes' packages, as on a machine where none was installed, then runs a command line.
WITHOUT_RUNTIMES = """
import sys
for name in ("onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime", "tensorrt", "torch"):
    sys.modules[name] = None
from tinydet.boards.doctor import runtimes, runtime_trial
runtimes.try_runtime = lambda name, device, timeout_s: runtime_trial.run_trial_model(name, device)
from tinydet.edge.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


def diagnose_tree(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, trials: Mapping[str, RuntimeTrial], architecture: str = "aarch64"
) -> tuple[Diagnosis, dict[str, Finding]]:
    """Diagnosis of a board tree whose runtimes gave `trials`, and its findings by name."""
    tried = {name: [(None, trial)] for name, trial in trials.items()}
    monkeypatch.setattr(diagnosis, "try_runtimes", lambda names, timeout_s: tried)
    found = diagnose(tree.root, tree.run, architecture)
    return found, {finding.name: finding for finding in found.findings}


@pytest.mark.slow
def test_this_machine(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(diagnosis, "RUNTIMES_TIMEOUT_S", 300.0)  # this machine may be busy with other tests
    code = main(["doctor", "--json"])
    content = json.loads(capfd.readouterr().out)
    assert set(content) == {"board", "machine", "ready", "checks"}
    assert code == (0 if content["ready"] else 1)
    for check in content["checks"]:
        assert set(check) == {"part", "name", "state", "seen", "fix"}
    states = {check["name"]: check["state"] for check in content["checks"]}
    for package, runtime in (("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("ai_edge_litert", "tflite")):
        pytest.importorskip(package)
        assert states[runtime] == OK
    assert content["ready"] == (MISSING not in states.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_machine_without_any_runtime(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_RUNTIMES, "doctor", "--json", "doctor.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    content = json.loads((tmp_path / "doctor.json").read_text())
    runtimes = [check for check in content["checks"] if check["part"] == "runtime"]
    assert runtimes and OK not in {check["state"] for check in runtimes}
    assert MISSING in {check["state"] for check in runtimes}
    assert "pip install" in str(runtimes[0]["fix"])
    assert "not ready" in done.stderr


def test_a_jetson_without_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = board("orin-nano", tmp_path)
    found, findings = diagnose_tree(tree, monkeypatch, {"tensorrt": ABSENT, "onnxruntime": WORKS})
    assert not found.ready and found.missing == ["tensorrt"]
    assert findings["tensorrt"].fix == "sudo apt install nvidia-jetpack"
    assert findings["onnxruntime"].state == OK
    assert findings["power mode"].seen == "15W"
    assert found.board is not None and found.board.name == "NVIDIA Jetson Orin Nano"


def test_a_raspberry_pi_that_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = diagnose_tree(board("raspberry-pi-5", tmp_path), monkeypatch, {"tflite": WORKS})
    assert found.ready


def test_a_weak_power_supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = diagnose_tree(board("raspberry-pi-4", tmp_path), monkeypatch, {"tflite": WORKS})
    assert found.missing == ["throttling"]


def test_a_root_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Tree(root=tmp_path, later={}, commands={})
    found, findings = diagnose_tree(empty, monkeypatch, {"onnxruntime": ABSENT}, "riscv64")
    assert found.board is None and not found.ready
    assert findings["board"].state == NOT_AVAILABLE


def test_wrong_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--json", str(tmp_path / "doctor.txt")]) == 2
    assert "expected a file ending in .json" in " ".join(capsys.readouterr().err.split())
    assert main(["doctor", "--fix"]) == 2
