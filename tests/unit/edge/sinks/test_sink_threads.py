from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.unit.edge.sinks.frame_results import NAMES, Recorded, result
from tinydet.edge.errors import InputError
from tinydet.edge.sinks import threads as sink_threads
from tinydet.edge.sinks.json_lines import JsonLines
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.sinks.threads import WAITING_FRAMES, SinkThreads
from tinydet.edge.stream.failures import Failures
from tinydet.edge.stream.frame_result import FrameResult


class Collecting(Sink):
    """Keeps the frame numbers; takes its time; fails at a certain frame."""

    def __init__(self, *, pause_s: float = 0.0, fails_at: int | None = None) -> None:
        self.name = "collecting"
        self.seen: list[int] = []
        self.ended_with: object = "never ended"
        self._pause_s = pause_s
        self._fails_at = fails_at

    def write(self, result: FrameResult) -> None:
        time.sleep(self._pause_s)
        if result.frame.index == self._fails_at:
            raise OSError("no space left on device")
        self.seen.append(result.frame.index)

    def __exit__(self, error_type: object, error: object, trace: object) -> None:
        self.ended_with = error


def test_a_failing_sink_is_reported_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Collecting(fails_at=2), Collecting()
    with SinkThreads([broken, sound], is_live=False) as threads:
        for index in range(20):
            threads.write(result(index))
    assert (broken.seen, sound.seen) == ([0, 1], list(range(20)))
    assert isinstance(broken.ended_with, OSError)
    assert sound.ended_with is None
    assert threads.failed == [broken]
    assert caplog.messages == ["collecting: no space left on device; detection goes on without it"]


def test_a_slow_sink_of_a_live_source_leaves_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    slow = Collecting(pause_s=0.05)
    start_s = time.monotonic()
    with SinkThreads([slow], is_live=True) as threads:
        for index in range(100):
            threads.write(result(index))
        assert time.monotonic() - start_s < 5 * 0.05 * 10
    assert slow.seen[-WAITING_FRAMES:] == list(range(100 - WAITING_FRAMES, 100))
    assert caplog.messages == [f"collecting is slower than the source: it dropped {100 - len(slow.seen)} results"]


def test_a_slow_sink_of_a_file_loses_nothing() -> None:
    slow = Collecting(pause_s=0.005)
    with SinkThreads([slow], is_live=False) as threads:
        for index in range(20):
            threads.write(result(index))
    assert slow.seen == list(range(20))


def test_an_error_of_the_run_reaches_the_sinks(tmp_path: Path) -> None:
    sinks = [Collecting(), JsonLines(tmp_path / "x.jsonl", NAMES, Recorded("clip.mp4"))]
    threads = SinkThreads(sinks, is_live=False)

    def broken_run() -> None:
        with threads:
            threads.write(result(0))
            raise ValueError("the detector broke")

    with pytest.raises(ValueError, match="broke"):
        broken_run()
    assert threads.failed == []
    assert list(tmp_path.iterdir()) == [], "half a file is no file"


def test_a_disk_without_space_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """/dev/full takes nothing."""
    sink = JsonLines(Path("/dev/full"), NAMES, Recorded("csi://0", is_live=True))
    with SinkThreads([sink], is_live=True) as threads:
        threads.write(result(0, captured_s=1.0))
    assert threads.failed == [sink]
    assert "No space left on device" in caplog.messages[0]


def test_a_sink_that_cannot_begin_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    class Unwilling(Collecting):
        def __enter__(self) -> Sink:
            raise InputError("address in use")

    first = JsonLines(tmp_path / "x.jsonl", NAMES, Recorded("clip.mp4"))
    with pytest.raises(InputError, match="in use"), SinkThreads([first, Unwilling()], is_live=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lines_are_whole(tmp_path: Path) -> None:
    with SinkThreads([JsonLines(tmp_path / "x.jsonl", NAMES, Recorded("clip.mp4"))], is_live=False) as threads:
        for index in range(50):
            threads.write(result(index))
    assert [json.loads(line)["frame"] for line in (tmp_path / "x.jsonl").open()] == list(range(50))


@pytest.mark.parametrize("error", [MemoryError("no memory"), KeyError("x"), SystemError("codec"), SystemExit(3)])
def test_no_error_of_a_sink_ends_the_flight(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Collecting):
        def write(self, result: FrameResult) -> None:
            raise error

    broken, sound, failures = Broken(), Collecting(), Failures()
    with SinkThreads([broken, sound], is_live=True, failures=failures) as threads:
        threads.write(result(0))
    assert (threads.failed, sound.seen, failures.counts()) == ([broken], [0], {"collecting": 1})
    assert len(caplog.messages) == 1 and type(error).__name__ in caplog.messages[0]


def test_a_sink_that_blocks_for_ever_does_not_hold_up_the_end_of_a_flight(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sink_threads, "CLOSING_S", 0.2)
    stuck, failures = Collecting(pause_s=3), Failures()
    start_s = time.monotonic()
    with SinkThreads([stuck], is_live=True, failures=failures) as threads:
        threads.write(result(0))
    assert time.monotonic() - start_s < 2
    assert (threads.failed, failures.counts()) == ([stuck], {"collecting": 1})
    assert caplog.messages == ["collecting: it did not end within 0.2 s; detection goes on without it"]


def test_a_failure_is_logged_once_without_passwords_and_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for _ in range(3):
        failures.add("x", OSError("rtsp://admin:secret@camera \x1b[31m is gone"))
    failures.recovered("x")
    failures.add("x", OSError("again"))
    assert failures.counts() == {"x": 4}
    assert caplog.messages == [
        "x: rtsp://admin:***@camera \\x1b[31m is gone; detection goes on without it",
        "x is back",
        "x: again; detection goes on without it",
    ]
