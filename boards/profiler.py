"""What artifacts cost on this machine: stage by stage, interleaved, beside their accuracy.

Protocol: every artifact is measured in several rounds, taking turns within a round, so that a machine that warms up or
is shared treats all alike. Only one session is open at a time, and each turn opens its own, warms it up and then times
whole detections, one frame after the other, by the stages of `Detector` itself. Frames lie in memory: reading and
decoding files is not timed. Percentiles are over all timed frames of all rounds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from boards.machine import Machine, this_machine
from edge.accuracy import Accuracy
from edge.dataset import Dataset
from edge.detector import Detector, StageTimes
from edge.errors import InputError
from edge.evaluation import evaluate
from edge.images import read_image

ROUNDS = 3
WARM_UP_FRAMES = 5
FRAMES_IN_MEMORY = 16
NOISE_WH = (1920, 1080)

STAGES = ("pre", "infer", "post", "total")

OnTurn = Callable[[str], None]
"""Told what is measured next, before each turn."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What is detected in while timing."""

    images_rgb: tuple[npt.NDArray[np.uint8], ...]
    """(H, W, 3) each."""
    description: str
    """Where they come from, for the protocol."""


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Of one stage over all timed frames."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, kw_only=True)
class ArtifactProfile:
    """What one artifact costs and gives."""

    artifact: str
    """The file, or the bundled size."""
    model: str
    precision: str
    input_hw: tuple[int, int]
    size_bytes: int | None
    """Of the file; None for a bundled size."""
    runtime: str
    """Name and version."""
    device: str
    provider: str
    """The back end that really ran."""
    frame_count: int
    """Timed frames."""
    objects_per_frame: float
    stages: dict[str, Percentiles]
    """By pre, infer, post and total."""
    frames_per_s: float
    """End to end: timed frames by the sum of their total times."""
    accuracy: Accuracy | None
    """On the labelled data, if there were any."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A measurement of artifacts, with all that is needed to read it."""

    machine: Machine
    protocol: dict[str, Any]
    artifacts: tuple[ArtifactProfile, ...]

    def as_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
        rows = []
        for profile in self.artifacts:
            row = asdict(profile)
            row["accuracy"] = None if profile.accuracy is None else profile.accuracy.as_dict()
            rows.append(row)
        return {"machine": asdict(self.machine), "protocol": self.protocol, "artifacts": rows}


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
    threads: int | None = None,
    dataset: Dataset | None = None,
    on_turn: OnTurn | None = None,
) -> Profile:
    """Measure artifacts by the protocol above.

    Args:
        artifacts: files or bundled sizes.
        frames: what to detect in.
        seconds: how long each artifact is timed, over all rounds.
        threads: CPU threads of the runtime and of OpenCV; None leaves both their choice.
        dataset: labelled data to measure the accuracy on, after the timing.
        on_turn: told what is measured next.

    Raises:
        InputError: an artifact that cannot be opened, named twice, or `seconds` of nothing.
    """
    names = [str(artifact) for artifact in artifacts]
    if len(set(names)) != len(names):
        raise InputError(f"an artifact is named twice: {', '.join(names)}")
    if seconds <= 0:
        raise InputError(f"seconds: expected more than 0, got {seconds}")
    times: dict[str, list[StageTimes]] = {name: [] for name in names}
    object_counts: dict[str, list[int]] = {name: [] for name in names}
    for name in names:  # before the first round, so that a broken last artifact does not cost a whole measurement
        Detector(name, threads=threads).runtime.close()
    with _opencv_threads(threads):
        for turn, name in itertools.product(range(1, ROUNDS + 1), names):
            if on_turn is not None:
                on_turn(f"round {turn} of {ROUNDS}: {name}")
            for objects, stage_times in _time_frames(name, frames, seconds / ROUNDS, threads):
                times[name].append(stage_times)
                object_counts[name].append(objects)
        rows = []
        for name in names:
            if on_turn is not None and dataset is not None:
                on_turn(f"accuracy: {name}")
            rows.append(_row(name, times[name], object_counts[name], threads, dataset))
    protocol = {
        "frames": frames.description,
        "seconds_per_artifact": seconds,
        "rounds_interleaved": ROUNDS,
        "warm_up_frames_per_round": WARM_UP_FRAMES,
        "batch": 1,
        "threads": threads,
        "thread_spinning": False,
        "sessions_open_at_a_time": 1,
        "timed": "letterbox, inference, decoding and NMS; not reading files",
    }
    return Profile(machine=this_machine(), protocol=protocol, artifacts=tuple(rows))


def _time_frames(name: str, frames: Frames, seconds: float, threads: int | None) -> Iterator[tuple[int, StageTimes]]:
    """Open, warm up, and detect for `seconds` (at least once in every frame)."""
    detector = Detector(name, threads=threads)
    try:
        cycle = itertools.cycle(frames.images_rgb)
        for image_rgb in itertools.islice(cycle, WARM_UP_FRAMES):
            detector.detect(image_rgb)
        end = time.perf_counter() + seconds
        for count, image_rgb in enumerate(cycle):
            if time.perf_counter() >= end and count >= len(frames.images_rgb):
                break
            detections, stage_times = detector.detect_timed(image_rgb)
            yield len(detections), stage_times
    finally:
        detector.runtime.close()


def _row(
    name: str, times: list[StageTimes], object_counts: list[int], threads: int | None, dataset: Dataset | None
) -> ArtifactProfile:
    detector = Detector(name, threads=threads)
    runtime = detector.runtime
    try:
        accuracy = evaluate(detector, dataset) if dataset is not None else None
        stages_ms = {stage: np.array([getattr(t, f"{stage}_ms") for t in times]) for stage in STAGES}
        return ArtifactProfile(
            artifact=name,
            model=runtime.metadata.model,
            precision=runtime.metadata.precision,
            input_hw=runtime.metadata.input_hw,
            size_bytes=Path(name).stat().st_size if Path(name).is_file() else None,
            runtime=runtime.name,
            device=runtime.device,
            provider=runtime.provider,
            frame_count=len(times),
            objects_per_frame=float(np.mean(object_counts)),
            stages={stage: _percentiles(values) for stage, values in stages_ms.items()},
            frames_per_s=len(times) / (float(stages_ms["total"].sum()) / 1e3),
            accuracy=accuracy,
        )
    finally:
        runtime.close()


def _percentiles(values_ms: npt.NDArray[np.float64]) -> Percentiles:
    p50, p95 = np.percentile(values_ms, [50, 95])
    return Percentiles(p50_ms=float(p50), p95_ms=float(p95))


@contextmanager
def _opencv_threads(threads: int | None) -> Iterator[None]:
    before = cv2.getNumThreads()
    if threads is not None:
        cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
