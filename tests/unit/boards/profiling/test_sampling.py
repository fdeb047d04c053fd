from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.unit.boards.board_trees import board
from tinydet.boards.profiling.sampling import Sampler, sample, throttling_events
from tinydet.boards.telemetry import Reading, Telemetry, Throttling

READING = Telemetry(Path("/nowhere"), lambda arguments: None).read()


def throttled(now: tuple[str, ...], since_start: tuple[str, ...]) -> Reading:
    return Reading(**{**vars(READING), "throttling": Throttling(now=now, since_start=since_start)})


def test_every_beginning_is_an_event_also_between_two_looks() -> None:
    looks = [
        throttled((), ("under-voltage",)),
        throttled(("throttled",), ("under-voltage", "throttled")),
        throttled(("throttled",), ("under-voltage", "throttled")),
        throttled((), ("under-voltage", "throttled", "clock capped")),
        throttled(("throttled",), ("under-voltage", "throttled", "clock capped")),
    ]
    events = throttling_events(list(enumerate(looks)))
    assert events is not None
    assert [(event.time_s, event.what) for event in events] == [(1, "throttled"), (3, "clock capped"), (4, "throttled")]


def test_a_board_that_never_says_has_no_count() -> None:
    assert throttling_events([(0.0, READING)]) is None


def test_sensors_that_vanish_while_sampling(tmp_path: Path) -> None:
    tree = board("orin-nano", tmp_path / "board")
    with Sampler(Telemetry(tree.root, tree.run), 0.01) as sampler:
        time.sleep(0.1)
        shutil.rmtree(tree.root)
        time.sleep(0.1)
    samples = [sample(time_s, reading) for time_s, reading in sampler.readings]
    assert samples[0].power_w == 6.34 and samples[0].temperature_c == 48.312
    assert samples[-1].power_w is None and samples[-1].temperature_c is None
