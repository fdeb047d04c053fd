from __future__ import annotations

from pathlib import Path

import pytest

from tinydet.boards.npu.compiler import Compiled, RefusedError
from tinydet.boards.npu.verify import MAX_RATIO, Attempt, failures, main, messages


def attempt(platform: str, precision: str, megabytes: float | None) -> Attempt:
    outcome = RefusedError("[ERROR] compiling\nno such operator")
    if megabytes is None:
        return Attempt(platform=platform, precision=precision, outcome=outcome)
    compiled = Compiled(blob_bytes=round(megabytes * 1e6), seconds=1.0, messages="well done")
    return Attempt(platform=platform, precision=precision, outcome=compiled)


def test_a_machine_without_wine_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: no Wine: `make verify-npu` installs it\n"


def test_refused_models_and_large_int8_blobs_are_failures() -> None:
    attempts = [
        attempt("3720", "fp16", 8.0),
        attempt("3720", "int8", 8.0 * MAX_RATIO + 0.1),
        attempt("4000", "fp16", 8.0),
        attempt("4000", "int8", 8.0 * MAX_RATIO - 0.1),
        attempt("5010", "fp16", 8.0),
        attempt("5010", "int8", None),
    ]
    refused, large = failures(attempts)
    assert refused == "int8 does not compile for 5010: no such operator"
    assert large.startswith("the INT8 blob for 3720 is 0.66 of")


def test_every_message_is_kept() -> None:
    log = messages([attempt("3720", "fp16", 8.0), attempt("3720", "int8", None)])
    assert log == "== fp16 for 3720\nwell done\n\n== int8 for 3720\n[ERROR] compiling\nno such operator\n"
