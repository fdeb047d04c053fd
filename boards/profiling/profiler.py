"""What artifacts cost on this machine: stage by stage, interleaved, beside their accuracy.

Protocol: every artifact is measured in several rounds, taking turns within a round, so that a machine that warms up or
is shared treats all alike. Each turn is a process of its own (timing.py), one at a time: load, warm up until
inference is steady, then time whole detections, one frame after the other, by the stages of `Detector` itself. Frames
lie in memory: reading and decoding files is not timed. Percentiles are over all timed frames of all rounds; ratios
between artifacts are of their fastest rounds. A sustained measurement has one long turn an artifact instead. Sensors
are looked at meanwhile, from outside that process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.boards.machine import this_machine
from tinydet.boards.profiling.artifact_files import artifact_files
from tinydet.boards.profiling.percentiles import percentiles
from tinydet.boards.profiling.profile import ArtifactProfile, Heat, Profile, Sensors
from tinydet.boards.profiling.sampling import Sample, Sampler, ThrottlingEvent, sample, throttling_events
from tinydet.boards.profiling.timing import Memory, Turn, detect_dataset, time_artifact
from tinydet.boards.telemetry import Telemetry
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import Accuracy, measure_accuracy
from tinydet.edge.evaluation.evaluate import match_classes
from tinydet.edge.images import read_image

ROUNDS = 5
FRAMES_IN_MEMORY = 16
NOISE_WH = (1920, 1080)
TELEMETRY_INTERVAL_S = (0.1, 1.0)
"""Shortest and longest: a turn gets four looks where that lies between them."""
HEAT_SHARE = 0.1
"""The parts of a sustained run, at its ends, that are compared."""

STAGES = ("pre", "infer", "post", "total")

OnTurn = Callable[[str], None]
"""Told what is measured next, before each turn."""
OnProfile = Callable[[Profile], None]
"""Given what is measured so far, after each turn and each accuracy."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What is detected in while timing."""

    images_rgb: tuple[npt.NDArray[np.uint8], ...]
    """(H, W, 3) each."""
    description: str
    """Where they come from, for the protocol."""


def noise_frames() -> Frames:
    """The built-in frame: the same full-HD noise on every machine."""
    width, height = NOISE_WH
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
    image_rgb = np.asarray(cv2.resize(noise, NOISE_WH, interpolation=cv2.INTER_CUBIC), np.uint8)
    return Frames(images_rgb=(image_rgb,), description=f"built-in noise, {width}x{height}")


def dataset_frames(dataset: Dataset) -> Frames:
    """Up to 16 images of a data set, spread over it."""
    step = max(1, len(dataset.images) // FRAMES_IN_MEMORY)
    records = dataset.images[::step][:FRAMES_IN_MEMORY]
    description = f"{len(records)} of {len(dataset.images)} images of {dataset.path}"
    return Frames(images_rgb=tuple(read_image(record.path) for record in records), description=description)


def profile_artifacts(
    artifacts: Sequence[str | Path],
    *,
    frames: Frames,
    seconds: float,
    sustained: bool = False,
    threads: int | None = None,
    device: str | None = None,
    dataset: Dataset | None = None,
    on_turn: OnTurn | None = None,
    on_profile: OnProfile | None = None,
    telemetry: Telemetry | None = None,
) -> Profile:
    """Measure artifacts by the protocol above.

    Args:
        artifacts: files or bundled sizes.
        frames: what to detect in.
        seconds: how long each artifact is timed, over all rounds.
        sustained: one artifact after the other, each in one turn, to see what heat does.
        threads: CPU threads of the runtime and of OpenCV; None leaves both their choice.
        device: what computes, see `Runtime.open`; the profile says what ran.
        dataset: labelled data to measure the accuracy on, after the timing.
        on_turn: told what is measured next.
        on_profile: given the incomplete profile, artifacts without a turn left out, whenever something came to it.
        telemetry: the board's sensors; None: this machine's.

    Raises:
        InputError: an artifact that cannot be opened, named twice, shares no class with the data set, or ends its
            process; `seconds` of nothing.
    """
    names = [str(artifact) for artifact in artifacts]
    if len(set(names)) != len(names):
        raise InputError(f"an artifact is named twice: {', '.join(names)}")
    if not 0 < seconds < float("inf"):
        raise InputError(f"seconds: expected more than 0, got {seconds}")
    say = on_turn or (lambda what: None)
    subjects = [
        _subject(name, threads, device, dataset) for name in names
    ]  # so that a broken last one costs no measurement
    rounds = 1 if sustained else ROUNDS
    shortest_s, longest_s = TELEMETRY_INTERVAL_S
    interval_s = min(max(seconds / rounds / 4, shortest_s), longest_s)
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    found: dict[str, list[Detections]] = {}
    protocol = {
        "frames": frames.description,
        "data": None if dataset is None else str(dataset.path),
        "images": None if dataset is None else len(dataset.images),
        "seconds_per_artifact": seconds,
        "rounds_interleaved": rounds,
        "sustained": sustained,
        "warm_up": "until the median inference of a window is within 3 % of the window's before, at most 10 s",
        "batch": 1,
        "threads": threads,
        "thread_spinning": False,
        "processes_at_a_time": 1,
        "telemetry_interval_s": interval_s,
        "timed": "letterbox, inference, decoding and NMS; not reading files",
    }
    machine = this_machine()
    sampler = Sampler(telemetry or Telemetry(), interval_s)

    def profile(*, complete: bool) -> Profile:
        looks = list(sampler.readings)  # its thread may go on looking
        origin_s = looks[0][0]
        readings = [(time_s - origin_s, reading) for time_s, reading in looks]
        timeline = tuple(sample(time_s, reading) for time_s, reading in readings)
        events = throttling_events(readings)
        rows = []
        for subject in subjects:
            if not turns[subject.artifact]:
                continue
            since = [_since(turn, origin_s) for turn in turns[subject.artifact]]
            scored = found.get(subject.artifact)
            accuracy = None if dataset is None or scored is None else measure_accuracy(dataset, scored)
            rows.append(_row(subject, since, timeline, events, accuracy, sustained))
        return Profile(
            machine=machine,
            power_mode=readings[0][1].power_mode,
            complete=complete,
            protocol=protocol,
            artifacts=tuple(rows),
            timeline=timeline,
            throttling_events=None if events is None else tuple(events),
            not_available=readings[-1][1].missing,
            found=found,
        )

    def tell() -> None:
        if on_profile is not None:
            on_profile(profile(complete=False))

    with sampler:
        for turn, name in itertools.product(range(1, rounds + 1), names):
            say(f"{name}, sustained" if sustained else f"round {turn} of {rounds}: {name}")
            turns[name].append(
                run_in_fresh_process(
                    time_artifact, name, frames.images_rgb, seconds / rounds, threads, device, about=_process_of(name)
                )
            )
            tell()
    for name in names if dataset is not None else ():
        say(f"accuracy: {name}")
        found[name] = run_in_fresh_process(detect_dataset, name, dataset, threads, device, about=_process_of(name))
        tell()
    return profile(complete=True)


def _process_of(name: str) -> str:
    return f"the process of {name}"


def turn_total_ms(turn: Turn) -> npt.NDArray[np.float64]:
    """(N,) end to end, of each timed frame."""
    total_ms: npt.NDArray[np.float64] = turn.pre_ms + turn.infer_ms + turn.post_ms
    return total_ms


def _since(turn: Turn, origin_s: float) -> Turn:
    return replace(turn, start_s=turn.start_s - origin_s, end_s=turn.end_s - origin_s)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is measured, and what runs it."""

    artifact: str
    metadata: ArtifactMetadata
    runtime: str
    device: str
    provider: str


def _subject(name: str, threads: int | None, device: str | None, dataset: Dataset | None) -> _Subject:
    """Raises `InputError` for an artifact that cannot be opened, or shares no class with the data set."""
    detector = Detector(name, threads=threads, device=device)
    with detector.runtime as runtime:
        if dataset is not None:
            match_classes(detector.class_names, dataset.class_names)
        return _Subject(
            artifact=name,
            metadata=runtime.metadata,
            runtime=runtime.name,
            device=runtime.device,
            provider=runtime.provider,
        )


def _row(
    subject: _Subject,
    turns: Sequence[Turn],
    timeline: Sequence[Sample],
    events: Sequence[ThrottlingEvent] | None,
    accuracy: Accuracy | None,
    sustained: bool,
) -> ArtifactProfile:
    stages_ms = {
        stage: np.concatenate([getattr(turn, f"{stage}_ms") for turn in turns]) for stage in ("pre", "infer", "post")
    }
    total_ms = np.concatenate([turn_total_ms(turn) for turn in turns])
    stages = {stage: percentiles(values) for stage, values in (stages_ms | {"total": total_ms}).items()}
    frames_per_s = len(total_ms) / (float(total_ms.sum()) / 1e3)
    files = artifact_files(Path(subject.artifact))
    return ArtifactProfile(
        artifact=subject.artifact,
        model=subject.metadata.model,
        precision=subject.metadata.precision,
        input_hw=subject.metadata.input_hw,
        size_bytes=sum(file.stat().st_size for file in files) if files else None,
        runtime=subject.runtime,
        device=subject.device,
        provider=subject.provider,
        frame_count=len(total_ms),
        objects_per_frame=sum(turn.objects for turn in turns) / len(total_ms),
        stages=stages,
        frames_per_s=frames_per_s,
        load_ms=float(np.median([turn.load_ms for turn in turns])),
        first_result_ms=float(np.median([turn.first_result_ms for turn in turns])),
        memory_mib=Memory(**{key: _most(turns, key) for key in ("before_load", "steady", "peak")}),
        steady=all(turn.steady for turn in turns),
        sensors=_sensors(turns, timeline, events, frames_per_s),
        heat=_heat(turns[0]) if sustained else None,
        accuracy=accuracy,
        turns=tuple(turns),
    )


def _most(turns: Sequence[Turn], key: str) -> float | None:
    return max((value for turn in turns if (value := getattr(turn.memory_mib, key)) is not None), default=None)


def _sensors(
    turns: Sequence[Turn],
    timeline: Sequence[Sample],
    events: Sequence[ThrottlingEvent] | None,
    frames_per_s: float,
) -> Sensors:
    """What the board said while these turns were timed."""

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
    total_ms = turn_total_ms(turn)
    ends_ms = total_ms.cumsum()
    first = ends_ms <= ends_ms[-1] * HEAT_SHARE
    last = ends_ms > ends_ms[-1] * (1 - HEAT_SHARE)
    first[0] = True
    return Heat(
        first_frames_per_s=float(1e3 / total_ms[first].mean()), last_frames_per_s=float(1e3 / total_ms[last].mean())
    )
