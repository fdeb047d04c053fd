from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tinydet.boards.doctor import runtime_trial
from tinydet.boards.doctor.runtime_trial import MODELS, RuntimeTrial, run_trial_model, try_runtime
from tinydet.boards.runtimes import RUNTIMES


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "tensorrt"])
def test_an_installed_runtime_gives_right_outputs(name: str) -> None:
    trial = try_runtime(name, None, 300)
    if not trial.installed:
        pytest.skip(str(trial.error))
    assert trial.error is None
    assert trial.images > 0 and trial.runtime and trial.provider


def test_a_wrong_output_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_trial, "SPOT_LOGIT", 9.0)
    wrong = run_trial_model("onnxruntime", None)
    assert wrong.error == "it ran, but its output is wrong" and wrong.images == 0


def test_an_unavailable_device() -> None:
    trial = try_runtime("onnxruntime", "CUDAExecutionProvider", 300)
    if trial.error is None:
        pytest.skip("this machine has an NVIDIA GPU and onnxruntime-gpu")
    assert trial.installed and trial.images == 0
    assert "CUDAExecutionProvider" in trial.error


def test_a_crash_a_hang_and_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    for script, error in (("kill -SEGV $$", "ended by SIGSEGV"), ("exec sleep 30", "no result within 1 s")):
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        assert error in str(try_runtime("onnxruntime", None, 1).error)
    python.write_text("#!/bin/sh\necho chatter; echo 'MemoryError' >&2; exit 3\n")
    assert try_runtime("onnxruntime", None, 60) == RuntimeTrial(error="it failed: MemoryError")


def test_for_a_runtime_that_is_not_installed_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RUNTIMES["tflite"]._replace(packages=("not_there_1", "not_there_2"))
    monkeypatch.setitem(RUNTIMES, "tflite", missing)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("a process was started"))
    assert try_runtime("tflite", None, 60) == RuntimeTrial(
        installed=False, error="this needs not_there_1 or not_there_2"
    )


def test_where_no_process_starts_this_one_runs_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    trial = try_runtime("onnxruntime", None, 1)
    assert trial.error is None and trial.images > 0


def test_the_shipped_models_are_what_their_script_writes(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from tests.unit.boards.doctor.trial_models import write_onnx, write_tflite

    for path in (write_onnx(tmp_path), write_tflite(tmp_path)):
        shipped = (MODELS / path.name).read_bytes()
        assert path.read_bytes() == shipped, "run python -m tests.unit.boards.doctor.trial_models"
