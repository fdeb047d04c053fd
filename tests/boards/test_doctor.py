from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.boards.trees import Tree, board, lay_out
from tinydet.boards.board import Board, all_boards, recognize
from tinydet.boards.doctor import examine as doctor
from tinydet.boards.doctor.examine import (
    DEADLINE_S,
    RUNTIMES,
    Findings,
    examine,
    python_check,
    runtime_checks,
    sensor_checks,
    try_runtimes,
)
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Check
from tinydet.boards.doctor.runtime_trial import MODELS, Answer, answer, probe, probed_endings
from tinydet.boards.telemetry import Telemetry
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import EXTRA_OF_PACKAGE
from tinydet.edge.runtimes.opening import runtime_endings

WORKS = Answer(runtime="runtime 1.0", provider="CPU", images=9)
ABSENT = Answer(installed=False, error="this needs a package")
BROKEN = Answer(error="libcuda.so.1: cannot open shared object file")

#: Blocks the runtimes' packages, as on a machine where none was installed, then runs a command line.
WITHOUT_RUNTIMES = """
import sys
for name in ("onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime", "tensorrt", "torch"):
    sys.modules[name] = None
from tinydet.boards.doctor import examine, runtime_trial
examine.probe = lambda ending, provider, timeout_s: runtime_trial.answer(ending, provider)
from tinydet.edge.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


def by_name(checks: tuple[Check, ...] | list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def examine_tree(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Answer], architecture: str = "aarch64"
) -> Findings:
    """The board of a fixture, where the runtimes gave `answers` by ending."""
    monkeypatch.setattr(
        doctor, "try_runtimes", lambda endings, deadline_s: {ending: [(None, said)] for ending, said in answers.items()}
    )
    return examine(tree.root, tree.run, architecture)


def generic() -> Board:
    found = recognize(Path("/nowhere"), "x86_64")
    assert found is not None
    return found


@pytest.mark.slow
def test_this_machine(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "DEADLINE_S", 300.0)  # a machine that runs other tests beside this one is slow
    code = main(["doctor", "--json"])
    said = json.loads(capfd.readouterr().out)
    assert set(said) == {"board", "machine", "ready", "checks"}
    assert code == (0 if said["ready"] else 1)
    for check in said["checks"]:
        assert set(check) == {"part", "name", "state", "seen", "fix"}
    states = {check["name"]: check["state"] for check in said["checks"]}
    for package, runtime in (("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("ai_edge_litert", "tflite")):
        pytest.importorskip(package)
        assert states[runtime] == OK
    assert said["ready"] == (MISSING not in states.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_machine_without_any_runtime(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_RUNTIMES, "doctor", "--json", "doctor.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    said = json.loads((tmp_path / "doctor.json").read_text())
    runtimes = [check for check in said["checks"] if check["part"] == "runtime"]
    assert runtimes and OK not in {check["state"] for check in runtimes}
    assert MISSING in {check["state"] for check in runtimes}
    assert "pip install" in str(runtimes[0]["fix"])
    assert "not ready" in done.stderr


@pytest.mark.parametrize("ending", [ending for ending in probed_endings() if ending != "engine"])
def test_a_runtime_answers_right(ending: str) -> None:
    said = probe(ending, None, 300)
    if not said.installed:
        pytest.skip(str(said.error))
    assert said.error is None
    assert said.images > 0 and said.runtime and said.provider


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydet.boards.doctor.runtime_trial.SPOT_LOGIT", 9.0)
    wrong = answer("onnx", None)
    assert wrong.error == "it ran, but what it computed is wrong" and wrong.images == 0


def test_a_provider_that_is_not_there(tmp_path: Path) -> None:
    said = probe("onnx", "CUDAExecutionProvider", 300)
    if said.error is None:
        pytest.skip("this machine has an NVIDIA GPU and onnxruntime-gpu")
    assert said.installed and said.images == 0
    assert "CUDAExecutionProvider" in said.error


def test_a_crash_and_a_hang_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    for script, said in (("kill -SEGV $$", "ended by SIGSEGV"), ("exec sleep 30", "no result within 1 s")):
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        assert said in str(probe("onnx", None, 1).error)
    python.write_text("#!/bin/sh\necho chatter; echo 'MemoryError' >&2; exit 3\n")
    assert probe("onnx", None, 60) == Answer(error="it failed: MemoryError")


def test_for_a_runtime_that_is_not_installed_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydet.boards.doctor.runtime_trial.PACKAGES", {"tflite": ("not_there_1", "not_there_2")})
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("a process was started"))
    assert probe("tflite", None, 60) == Answer(installed=False, error="this needs not_there_1 or not_there_2")


def test_where_no_process_starts_this_one_runs_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    said = probe("onnx", None, 1)
    assert said.error is None and said.images > 0


def test_all_runtimes_share_one_deadline() -> None:
    found = try_runtimes(["onnx", "tflite"], deadline_s=0.0)
    assert {str(said.error) for tried in found.values() for _, said in tried} == {
        "its process gave no result within 0 s"
    }
    assert DEADLINE_S < 20


def test_other_devices_are_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Answer(runtime="onnxruntime 1.31.1", provider="CPU", images=1, devices=("cpu", "gpu"))
    monkeypatch.setattr(doctor, "probe", lambda ending, device, timeout_s: both if device is None else BROKEN)
    found = try_runtimes(["onnx"], 1.0)
    assert found == {"onnx": [(None, both), ("gpu", BROKEN)]}
    checks = by_name(runtime_checks(generic(), found))
    assert (checks["onnxruntime"].state, checks["onnxruntime, gpu"].state) == (OK, NOT_AVAILABLE)
    assert "libcuda" in checks["onnxruntime, gpu"].seen


@pytest.mark.parametrize("profile", all_boards(), ids=lambda profile: str(profile.name))
def test_the_first_runtime_of_every_board_is_needed(profile: Board) -> None:
    ending, install = RUNTIMES[profile.runtimes[0]]
    assert install in profile.install
    for first, state in ((WORKS, OK), (ABSENT, MISSING), (BROKEN, MISSING)):
        answers = {other: [(None, first if other == ending else ABSENT)] for other, _ in RUNTIMES.values()}
        checks = runtime_checks(profile, answers)
        assert [check.name for check in checks] == list(profile.runtimes)
        assert checks[0].state == state
        assert checks[0].fix == (install if first is ABSENT else None)
        assert {check.state for check in checks[1:]} <= {NOT_AVAILABLE}


def test_on_an_unknown_board_any_runtime_will_do() -> None:
    answers = {ending: [(None, ABSENT)] for ending, _ in RUNTIMES.values()}
    assert {check.state for check in runtime_checks(None, answers)} == {MISSING}
    answers["tflite"] = [(None, WORKS)]
    assert {check.state for check in runtime_checks(None, answers)} == {OK, NOT_AVAILABLE}


def test_the_install_lines_name_extras_that_exist() -> None:
    lines = {install for name, (_, install) in RUNTIMES.items() if name != "tensorrt"}
    assert lines == {f"pip install 'tinydet[{name}]'" for name in RUNTIMES if name in EXTRA_OF_PACKAGE.values()}
    assert set(probed_endings()) == {ending for ending, _ in RUNTIMES.values()}
    assert set(probed_endings()) == set(runtime_endings()) - {"safetensors"}


def test_a_jetson_without_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = examine_tree(board("orin-nano", tmp_path), monkeypatch, {"engine": ABSENT, "onnx": WORKS})
    checks = by_name(findings.checks)
    assert not findings.ready
    assert (checks["tensorrt"].state, checks["tensorrt"].fix) == (MISSING, "sudo apt install nvidia-jetpack")
    assert checks["onnxruntime"].state == OK
    assert checks["power"].seen == "6.3 W, the whole board"
    assert checks["power mode"].seen == "15W"
    assert checks["temperature"].seen == "48 °C (cpu-thermal, the warmest)"
    assert checks["clock"].seen == "CPU 1510 MHz, GPU 625 MHz"
    assert findings.board is not None and findings.board.name == "NVIDIA Jetson Orin Nano"


def test_a_raspberry_pi_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = examine_tree(board("raspberry-pi-5", tmp_path), monkeypatch, {"tflite": WORKS})
    assert findings.ready
    assert by_name(findings.checks)["throttling"].seen == "now: no; since the start: no"


def test_a_weak_power_supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = examine_tree(board("raspberry-pi-4", tmp_path), monkeypatch, {"tflite": WORKS})
    throttling = by_name(findings.checks)["throttling"]
    assert not findings.ready
    assert throttling.state == MISSING and "under-voltage" in throttling.seen
    assert throttling.fix is not None and "power supply" in throttling.fix


def test_sensors_that_are_not_there(tmp_path: Path) -> None:
    for profile in all_boards():
        checks = by_name(sensor_checks(profile, Telemetry(tmp_path, lambda arguments: None).read()))
        assert {check.state for check in checks.values()} == {NOT_AVAILABLE}
        assert set(checks) <= set(profile.telemetry)


def test_a_root_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = examine_tree(Tree(root=tmp_path, later={}, commands={}), monkeypatch, {"onnx": ABSENT}, "riscv64")
    assert findings.board is None and not findings.ready
    assert by_name(findings.checks)["board"].state == NOT_AVAILABLE


def test_32_bit_arm_needs_an_older_python() -> None:
    assert python_check("armv7l", release=(3, 12)).state == MISSING
    assert python_check("armv7l", release=(3, 11)).state == OK
    assert python_check("aarch64", release=(3, 12)).state == OK


@pytest.mark.parametrize(
    ("device", "readable", "state"),
    [(True, True, OK), (True, False, NOT_AVAILABLE), (False, True, NOT_AVAILABLE)],
)
def test_an_npu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: bool, readable: bool, state: str) -> None:
    monkeypatch.setattr(doctor, "try_runtimes", lambda endings, deadline_s: {"xml": [(None, WORKS)]})
    lay_out(tmp_path, {"sys/class/accel/accel0/device/device": "0x643e\n"})
    if device:
        lay_out(tmp_path, {"dev/accel/accel0": ""})
    monkeypatch.setattr(os, "access", lambda path, mode: readable)
    npu = by_name(examine(tmp_path, lambda arguments: None, "x86_64").checks)["NPU"]
    assert npu.state == state
    assert (npu.fix is None) == (state == OK)
    if device and not readable:
        found = recognize(tmp_path, "x86_64")
        assert found is not None and npu.fix in found.install


def test_wrong_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--json", str(tmp_path / "doctor.txt")]) == 2
    assert "expected a file ending in .json" in " ".join(capsys.readouterr().err.split())
    assert main(["doctor", "--fix"]) == 2


def test_the_shipped_models_are_what_their_script_writes(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from tests.boards.doctor_models import write_onnx, write_tflite

    for path in (write_onnx(tmp_path), write_tflite(tmp_path)):
        assert path.read_bytes() == (MODELS / path.name).read_bytes(), "run python -m tests.boards.doctor_models"
