from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tinydet.edge.files.native_stderr import STDERR, StderrWatch, caught_stderr

TIMEOUT_S = 10
NOISE = re.compile(rb"warning\n")


def test_functions_are_watched_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    watch, together = StderrWatch(re.compile(rb"damaged\n"), NOISE), threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(watch.run, lambda: together.wait(TIMEOUT_S)) for _ in range(3)]
        assert all(run.result()[1] == [] for run in runs)
    assert capfd.readouterr().err == ""


def test_messages_are_found_for_the_function_that_wrote_them(capfd: pytest.CaptureFixture[str]) -> None:
    watch, together = StderrWatch(re.compile(rb"damaged (\d+)\n"), NOISE), threading.Barrier(4)

    def decode(number: int) -> int:
        if watch_is_shared.is_set():
            together.wait(TIMEOUT_S)
        if number == 2:
            watch_is_shared.clear()
            os.write(STDERR, b"damaged 2\n")
        os.write(STDERR, b"progress without a line end ")
        return number

    watch_is_shared = threading.Event()
    watch_is_shared.set()
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda number: watch.run(lambda: decode(number)), range(4)))
    assert [(result, [message[1] for message in messages]) for result, messages in runs] == [
        (0, []),
        (1, []),
        (2, [b"2"]),
        (3, []),
    ]
    assert set(capfd.readouterr().err.split("progress without a line end ")) == {""}


def test_an_error_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    watch = StderrWatch(re.compile(rb"damaged\n"), NOISE)
    with pytest.raises(ZeroDivisionError):
        watch.run(lambda: os.write(STDERR, b"a line\nwarning\ndamaged\n") // 0)
    os.write(STDERR, b"another\n")
    assert capfd.readouterr().err == "a line\nanother\n"


def test_stderr_that_is_redirected_meanwhile(capfd: pytest.CaptureFixture[str]) -> None:
    """A runtime that is opened in another thread: then it is uncertain whether a message came, until the next call."""
    watch = StderrWatch(re.compile(rb"damaged\n"), NOISE)
    calls: list[None] = []

    def decode() -> None:
        calls.append(None)
        if len(calls) == 1:
            os.write(STDERR, b"long line\n")
            block.enter_context(caught_stderr())
        os.write(STDERR, b"damaged\n")

    with ExitStack() as block:
        os.write(STDERR, b"before\n")
        _, messages = watch.run(decode)
    assert (len(calls), len(messages)) == (2, 1)
