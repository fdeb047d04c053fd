from __future__ import annotations

import pytest

from tests.unit.boards.doctor.trials import ABSENT, BROKEN, WORKS
from tinydet.boards.board import Board, known_boards
from tinydet.boards.doctor import runtimes
from tinydet.boards.doctor.diagnosis import RUNTIMES_TIMEOUT_S
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK
from tinydet.boards.doctor.runtime_trial import RuntimeTrial
from tinydet.boards.doctor.runtimes import runtime_findings, try_runtimes
from tinydet.boards.runtimes import RUNTIMES
from tinydet.edge.errors import EXTRA_OF_PACKAGE
from tinydet.edge.runtimes.opening import runtime_endings

BOARDS = {board.name: board for board in known_boards()}


def test_all_runtimes_share_one_timeout() -> None:
    trials = try_runtimes(["onnxruntime", "tflite"], timeout_s=0.0)
    errors = {str(trial.error) for tried in trials.values() for _, trial in tried}
    assert errors == {"its process gave no result within 0 s"}
    assert RUNTIMES_TIMEOUT_S < 20


def test_other_devices_are_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    both = RuntimeTrial(runtime="onnxruntime 1.31.1", provider="CPU", images=1, devices=("cpu", "gpu"))
    monkeypatch.setattr(runtimes, "try_runtime", lambda name, device, timeout_s: both if device is None else BROKEN)
    trials = try_runtimes(["onnxruntime"], 1.0)
    assert trials == {"onnxruntime": [(None, both), ("gpu", BROKEN)]}
    default, gpu = runtime_findings(BOARDS["x86-64 computer"], trials)
    assert (default.name, default.state) == ("onnxruntime", OK)
    assert (gpu.name, gpu.state) == ("onnxruntime, gpu", NOT_AVAILABLE)
    assert "libcuda" in gpu.seen


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_the_first_runtime_of_every_board_is_needed(board: Board) -> None:
    needed = board.runtimes[0]
    install = RUNTIMES[needed].install
    assert install in board.install
    for first, state in ((WORKS, OK), (ABSENT, MISSING), (BROKEN, MISSING)):
        trials = {name: [(None, first if name == needed else ABSENT)] for name in RUNTIMES}
        findings = runtime_findings(board, trials)
        assert [finding.name for finding in findings] == list(board.runtimes)
        assert findings[0].state == state
        assert findings[0].fix == (install if first is ABSENT else None)
        assert {finding.state for finding in findings[1:]} <= {NOT_AVAILABLE}


def test_on_an_unknown_board_any_runtime_is_enough() -> None:
    trials = {name: [(None, ABSENT)] for name in RUNTIMES}
    assert {finding.state for finding in runtime_findings(None, trials)} == {MISSING}
    trials["tflite"] = [(None, WORKS)]
    assert {finding.state for finding in runtime_findings(None, trials)} == {OK, NOT_AVAILABLE}


def test_the_table_of_runtimes_names_extras_and_endings_that_exist() -> None:
    lines = {info.install for name, info in RUNTIMES.items() if name != "tensorrt"}
    assert lines == {f"pip install 'tinydet[{name}]'" for name in RUNTIMES if name in EXTRA_OF_PACKAGE.values()}
    assert {info.file_ending for info in RUNTIMES.values()} == set(runtime_endings()) - {"safetensors"}
