"""edge/runtimes/tensorrt.py against the real bindings of three TensorRT releases, where `make verify-tensorrt` ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

RELEASES = ("10.3.0", "10.13.0.35", "11.4.0.106")

pytestmark = pytest.mark.slow


def verify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    room = REPOSITORY / "build" / "tensorrt"
    if not all((room / release / "stubs" / "tensorrt").is_dir() for release in RELEASES):
        pytest.skip("run make verify-tensorrt first: it fetches the bindings")
    command = [REPOSITORY / "boards" / "tensorrt" / "verify.sh", sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_type_error_in_any_release() -> None:
    process = verify()
    assert process.returncode == 0, process.stdout + process.stderr
    for release in RELEASES:
        assert f"TensorRT {release}: no type error" in process.stdout
        assert f"TensorRT {release}: planted execute_async_v2 is caught" in process.stdout


def test_a_wrong_call_in_the_runtime_is_caught(tmp_path: Path) -> None:
    source = (REPOSITORY / "edge" / "runtimes" / "tensorrt.py").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(source.replace("execute_async_v3", "execute_async_v2"), encoding="utf-8")
    assert wrong.read_text(encoding="utf-8") != source
    process = verify(wrong)
    assert process.returncode == 1
    assert process.stdout.count('Cannot access attribute "execute_async_v2"') >= len(RELEASES)
