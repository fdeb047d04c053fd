"""Figures of an artifact, computed from its turns and from the sensor samples taken meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydet.boards.profiling.latency_statistics import percentiles
from tinydet.boards.profiling.profile import ArtifactInfo, ArtifactProfile, Heat, Sensors
from tinydet.boards.profiling.sampling import Sample, ThrottlingEvent
from tinydet.boards.profiling.timing import Memory, Turn
from tinydet.edge.evaluation.average_precision import Accuracy

HEAT_SHARE = 0.1
"""Share of a sustained run's time, at its start and at its end, that is compared."""


def artifact_profile(
    info: ArtifactInfo,
    turns: Sequence[Turn],
    *,
    timeline: Sequence[Sample],
    events: Sequence[ThrottlingEvent] | None,
    accuracy: Accuracy | None,
    sustained: bool,
) -> ArtifactProfile:
    """Aggregate one or more turns; their times, the timeline and the events share one clock."""
    stages_ms = {
        stage: np.concatenate([getattr(turn, f"{stage}_ms") for turn in turns])
        for stage in ("pre", "infer", "post", "total")
    }
    total_ms = stages_ms["total"]
    frames_per_s = len(total_ms) / (float(total_ms.sum()) / 1e3)
    return ArtifactProfile(
        **vars(info),
        frame_count=len(total_ms),
        objects_per_frame=sum(turn.objects for turn in turns) / len(total_ms),
        stages={stage: percentiles(values) for stage, values in stages_ms.items()},
        frames_per_s=frames_per_s,
        load_ms=float(np.median([turn.load_ms for turn in turns])),
        first_result_ms=float(np.median([turn.first_result_ms for turn in turns])),
        memory_mib=Memory(**{key: _highest(turns, key) for key in ("before_load", "steady", "peak")}),
        steady=all(turn.steady for turn in turns),
        sensors=_sensors(turns, timeline, events, frames_per_s),
        heat=_heat(turns[0]) if sustained else None,
        accuracy=accuracy,
        turns=tuple(turns),
    )


def _highest(turns: Sequence[Turn], key: str) -> float | None:
    return max((value for turn in turns if (value := getattr(turn.memory_mib, key)) is not None), default=None)


def _sensors(
    turns: Sequence[Turn],
    timeline: Sequence[Sample],
    events: Sequence[ThrottlingEvent] | None,
    frames_per_s: float,
) -> Sensors:
    """Sensor figures over the timed parts of these turns."""

    def during(items: Sequence[Any]) -> list[Any]:
        return [item for item in items if any(turn.start_s <= item.time_s <= turn.end_s for turn in turns)]

    power_w = [sample.power_w for sample in during(timeline) if sample.power_w is not None]
    celsius = [sample.temperature_c for sample in during(timeline) if sample.temperature_c is not None]
    mean_w = float(np.mean(power_w)) if power_w else None
    return Sensors(
        power_w=mean_w,
        joules_per_frame=None if mean_w is None else mean_w / frames_per_s,
        first_temperature_c=celsius[0] if celsius else None,
        max_temperature_c=max(celsius, default=None),
        throttling_events=None if events is None else len(during(events)),
    )


def _heat(turn: Turn) -> Heat:
    ends_ms = turn.total_ms.cumsum()
    first = ends_ms <= ends_ms[-1] * HEAT_SHARE
    last = ends_ms > ends_ms[-1] * (1 - HEAT_SHARE)
    first[0] = True
    return Heat(
        first_frames_per_s=float(1e3 / turn.total_ms[first].mean()),
        last_frames_per_s=float(1e3 / turn.total_ms[last].mean()),
    )
