from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinydet.boards.doctor.runtime_trial import MODELS
from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.edge.errors import InputError
from tinydet.edge.files.toml_file import read_toml

TINYDET = Path(sys.executable).with_name("tinydet")


def hostile_folder(folder: Path, *, packages: tuple[str, ...], modules: tuple[str, ...]) -> Path:
    """A user's folder whose names are those of modules that tinydet imports; to import one of them ends the process."""
    for file in [*(f"{name}/__init__.py" for name in packages), *(f"{name}.py" for name in modules)]:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("raise SystemExit('imported from the user')")
    return folder


def test_the_result_comes_from_another_process() -> None:
    assert run_in_fresh_process(os.getpid) != os.getpid()


def test_what_the_function_writes_is_only_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for stream, text in ((1, b"to stdout"), (2, b"to stderr")):
        assert run_in_fresh_process(os.write, stream, text) == len(text)
    assert tuple(capfd.readouterr()) == ("", "")
    caplog.set_level(logging.DEBUG, "tinydet.boards")
    run_in_fresh_process(os.write, 2, b"to stderr", about="the writer")
    assert caplog.messages == ["stderr of the writer: to stderr"]


def test_an_input_error_is_raised_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml does not exist"):
        run_in_fresh_process(read_toml, tmp_path / "missing.toml")


def test_another_error_comes_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)^the reader ended with exit code 1.*Traceback.*JSONDecodeError"):
        run_in_fresh_process(json.loads, "no JSON", about="the reader")


def test_a_process_that_ends_early_gives_no_result() -> None:
    with pytest.raises(RuntimeError, match="exit code 0 and no result"):
        run_in_fresh_process(os._exit, 0)


@pytest.mark.parametrize(("number", "says"), [(signal.SIGSEGV, "SIGSEGV$"), (signal.SIGKILL, r"SIGKILL \(out of mem")])
def test_a_signal_is_an_input_error(number: signal.Signals, says: str) -> None:
    with pytest.raises(InputError, match=f"^its process was ended by {says}"):
        run_in_fresh_process(signal.raise_signal, number)


def test_a_process_that_hangs_is_killed() -> None:
    start_s = time.monotonic()
    with pytest.raises(InputError, match=r"^its process gave no result within 1 s$"):
        run_in_fresh_process(time.sleep, 60, timeout_s=1)
    assert time.monotonic() - start_s < 20


def test_stdin_is_empty() -> None:
    with pytest.raises(RuntimeError, match="EOFError"):
        run_in_fresh_process(input)


def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile_folder(tmp_path, packages=("tinydet", "numpy"), modules=("statistics", "pickle")))
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), ".", *sys.path])
    assert run_in_fresh_process(os.getcwd) == str(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("profile", "spots.onnx", "--seconds", "0.1"), ("doctor",)])
def test_commands_in_a_folder_with_modules_of_our_names(tmp_path: Path, command: tuple[str, ...]) -> None:
    ours = ("edge", "training", "quantization", "converters", "boards")
    shutil.copy(MODELS / "spots.onnx", hostile_folder(tmp_path, packages=ours, modules=("statistics",)))
    interpreter = subprocess.run([sys.executable, "-m", "tinydet", *command], cwd=tmp_path, capture_output=True)
    hostile_folder(tmp_path, packages=(), modules=("tinydet", "numpy", "pickle", "json", "tempfile"))
    script = subprocess.run([TINYDET, *command], cwd=tmp_path, capture_output=True)
    for done in (interpreter, script):
        shown = done.stdout + done.stderr
        assert b"Traceback" not in shown and b"imported from the user" not in shown
        assert done.returncode == 0 or (command == ("doctor",) and b"not ready" in shown), shown.decode()
        assert command != ("doctor",) or b"all outputs right" in shown
