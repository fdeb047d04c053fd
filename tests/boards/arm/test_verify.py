from __future__ import annotations

from pathlib import Path

import pytest

from tinydet.boards.arm.measure import RuntimeResult
from tinydet.boards.arm.verify import MAX_AP_DIFFERENCE, MAX_BASE_MB, base_failures, failures, main, notes


def result(**changes: object) -> RuntimeResult:
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
    return RuntimeResult(**(fields | changes))  # type: ignore[arg-type]  # any field


def test_a_machine_without_qemu_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: no QEMU: `make verify-arm` installs it\n"


def test_a_drift_of_ap_and_blindness_are_failures() -> None:
    assert failures([result(), result(ap=0.5 - MAX_AP_DIFFERENCE / 2)]) == []
    (drift,) = failures([result(ap=0.49)])
    assert drift == "litert 1 on cortex-a76: INT8 AP is 0.4900, on this machine 0.5000"
    (better,) = failures([result(ap=0.51)])
    assert "INT8 AP is 0.5100" in better
    rare = result(ap_all=0.38)
    assert failures([rare]) == []
    (note,) = notes([rare])
    assert note.startswith(
        "litert 1 on cortex-a76: INT8 AP over all classes is 0.3800, on this machine 0.4000; classes with fewer"
    )
    (blind,) = failures([result(detected=0)])
    assert blind == "litert 1 on cortex-a76: nothing was detected in the first image"


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


def test_known_boards_prefer_the_runtime_whose_int8_takes_the_fewest_instructions() -> None:
    better = result(package="onnxruntime", runtime="onnxruntime 1", float_instructions=250, int8_instructions=99)
    (line,) = failures([result(), better])
    assert line == "onnxruntime 1 on cortex-a76: fewest INT8 instructions, but boards/known_boards prefers tflite"


def test_a_heavy_base_install_is_a_failure(tmp_path: Path) -> None:
    assert base_failures(tmp_path) == []
    (tmp_path / "torch").mkdir()
    with (tmp_path / "torch" / "lib.so").open("wb") as file:
        file.truncate((MAX_BASE_MB + 1) * 10**6)
    torch, large = base_failures(tmp_path)
    assert torch == "the base install holds torch"
    assert large.startswith("the base install takes 151 MB")
