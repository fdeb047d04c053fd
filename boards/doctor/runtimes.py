"""Tries the runtimes: each runs a tiny model on each of its devices."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tinydet.boards.board import Board
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.boards.doctor.runtime_trial import RuntimeTrial, try_runtime
from tinydet.boards.runtimes import RUNTIMES

Trials = Mapping[str, Sequence[tuple[str | None, RuntimeTrial]]]
"""By runtime: pairs of device (None: the default) and trial."""


def try_runtimes(names: Iterable[str], timeout_s: float) -> Trials:
    """Try each runtime on its default device, then on its other ones; `timeout_s` is for all together."""
    end_s = time.monotonic() + timeout_s
    with ThreadPoolExecutor(max_workers=8) as pool:
        first = {name: pool.submit(try_runtime, name, None, timeout_s) for name in names}
        others = [
            (name, device, pool.submit(try_runtime, name, device, end_s - time.monotonic()))
            for name, trial in first.items()
            for device in trial.result().devices[1:]
        ]
        trials: dict[str, list[tuple[str | None, RuntimeTrial]]] = {
            name: [(None, trial.result())] for name, trial in first.items()
        }
        for name, device, trial in others:
            trials[name].append((device, trial.result()))
    return trials


def runtime_findings(board: Board | None, trials: Trials) -> list[Finding]:
    """A finding for each runtime that this board can use or that is installed, in the board's order of preference.

    The first of the board's runtimes is needed. On an unknown board any one is enough.
    """
    any_works = any(trial.error is None for tried in trials.values() for _, trial in tried)
    findings = []
    for name in dict.fromkeys([*(board.runtimes if board else ()), *RUNTIMES]):
        needed = name == board.runtimes[0] if board else not any_works
        for device, trial in trials.get(name, ()):
            fix = None
            if trial.error is None:
                state = OK
                seen = f"{trial.runtime}, {trial.provider}: {trial.images} images of a test model, all outputs right"
            elif trial.installed:
                state, seen = MISSING if needed and device is None else NOT_AVAILABLE, trial.error
            elif needed or board is None or name in board.runtimes:
                state, seen, fix = MISSING if needed else NOT_AVAILABLE, "not installed", RUNTIMES[name].install
            else:
                continue
            title = name if device is None else f"{name}, {device}"
            findings.append(Finding(part="runtime", name=title, state=state, seen=seen, fix=fix))
    return findings
