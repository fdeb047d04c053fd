"""Measures artifacts on this machine: time by stage, interleaved, and accuracy.

Protocol: every artifact is measured in several rounds, taking turns within a round, so that warming up or other load
affects all artifacts alike. Each turn is a process of its own (timing.py), one at a time: it loads the artifact, warms
up until inference is steady, then times whole detections, one frame after the other, by the stages of `Detector`.
Frames are in memory: reading and decoding files is not timed. Percentiles are over all timed frames of all rounds;
ratios between artifacts are of their fastest rounds. A sustained measurement has one long turn per artifact instead.
Meanwhile this process samples the sensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.boards.machine_info import read_machine_info
from tinydet.boards.profiling.aggregation import artifact_profile
from tinydet.boards.profiling.frames import Frames
from tinydet.boards.profiling.profile import ArtifactInfo, Profile, artifact_files
from tinydet.boards.profiling.sampling import Sampler, sample, throttling_events
from tinydet.boards.profiling.timing import Turn, detect_dataset, time_artifact
from tinydet.boards.telemetry import Telemetry
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import Accuracy, measure_accuracy
from tinydet.edge.evaluation.evaluate import match_classes

ROUNDS = 5
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 1.0
"""Limits of the time between sensor samples; a turn gets four of them where the limits allow it."""

Result = TypeVar("Result")
OnStep = Callable[[str], None]
"""Called before each step with its description."""
OnProfile = Callable[[Profile], None]
"""Called after each step with the incomplete profile, which leaves out artifacts without a turn."""


class Profiler:
    """Measures artifacts by the protocol above.

    Args:
        artifacts: files or bundled sizes.
        frames: frames to detect in.
        seconds: time per artifact, over all rounds.
        sustained: one artifact after the other, each in one turn, to see the effect of heat.
        threads: CPU threads of the runtime and of OpenCV; None leaves both their choice.
        device: device to run on, see `Runtime.open`; the profile has the one that ran.
        dataset: labelled data to measure the accuracy on, after the timing.
        on_step: called before each turn and each measurement of accuracy.
        on_profile: called after each of them.
        telemetry: the board's sensors; None: this machine's.

    Raises:
        InputError: an artifact that cannot be opened, is named twice or shares no class with the data set; `seconds`
            that are not more than 0.
    """

    def __init__(
        self,
        artifacts: Sequence[str | Path],
        *,
        frames: Frames,
        seconds: float,
        sustained: bool = False,
        threads: int | None = None,
        device: str | None = None,
        dataset: Dataset | None = None,
        on_step: OnStep | None = None,
        on_profile: OnProfile | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        names = [str(artifact) for artifact in artifacts]
        if len(set(names)) != len(names):
            raise InputError(f"an artifact is named twice: {', '.join(names)}")
        if not 0 < seconds < float("inf"):
            raise InputError(f"seconds: expected more than 0, got {seconds}")
        self._artifacts = [_open(name, threads, device, dataset) for name in names]  # all, before one is measured
        self._frames = frames
        self._rounds = 1 if sustained else ROUNDS
        self._turn_s = seconds / self._rounds
        self._sustained = sustained
        self._options = (threads, device)
        self._dataset = dataset
        self._on_step = on_step
        self._on_profile = on_profile
        interval_s = min(max(self._turn_s / 4, MIN_INTERVAL_S), MAX_INTERVAL_S)
        self._sampler = Sampler(telemetry or Telemetry(), interval_s)
        self._turns: dict[str, list[Turn]] = {name: [] for name in names}
        self._found: dict[str, list[Detections]] = {}
        self._accuracy: dict[str, Accuracy] = {}
        self._protocol = {
            "frames": frames.description,
            "data": None if dataset is None else str(dataset.path),
            "images": None if dataset is None else len(dataset.images),
            "seconds_per_artifact": seconds,
            "rounds_interleaved": self._rounds,
            "sustained": sustained,
            "warm_up": "until the median inference of a window is within 3 % of the window before, at most 10 s",
            "batch": 1,
            "threads": threads,
            "thread_spinning": False,
            "processes_at_a_time": 1,
            "telemetry_interval_s": interval_s,
            "timed": "letterbox, inference, decoding and NMS; not reading files",
        }

    def run(self) -> Profile:
        """Time every artifact, then measure its accuracy if there is labelled data; once.

        Raises:
            InputError: the process of an artifact was killed.
        """
        with self._sampler:
            for turn, name in itertools.product(range(1, self._rounds + 1), self._turns):
                step = f"{name}, sustained" if self._sustained else f"round {turn} of {self._rounds}: {name}"
                self._turns[name].append(self._step(step, time_artifact, name, self._frames.images_rgb, self._turn_s))
                self._report()
        if self._dataset is not None:
            for name in self._turns:
                self._found[name] = self._step(f"accuracy: {name}", detect_dataset, name, self._dataset)
                self._accuracy[name] = measure_accuracy(self._dataset, self._found[name])
                self._report()
        return self._profile(complete=True)

    def _step(self, description: str, function: Callable[..., Result], name: str, *arguments: object) -> Result:
        if self._on_step is not None:
            self._on_step(description)
        return run_in_fresh_process(function, name, *arguments, *self._options, about=f"the process of {name}")

    def _report(self) -> None:
        if self._on_profile is not None:
            self._on_profile(self._profile(complete=False))

    def _profile(self, *, complete: bool) -> Profile:
        readings = list(self._sampler.readings)  # the sampler's thread may be adding to them
        origin_s = readings[0][0]
        readings = [(time_s - origin_s, reading) for time_s, reading in readings]
        timeline = tuple(sample(time_s, reading) for time_s, reading in readings)
        events = throttling_events(readings)
        rows = [
            artifact_profile(
                info,
                [turn.since(origin_s) for turn in turns],
                timeline=timeline,
                events=events,
                accuracy=self._accuracy.get(info.artifact),
                sustained=self._sustained,
            )
            for info, turns in zip(self._artifacts, self._turns.values(), strict=True)
            if turns
        ]
        return Profile(
            machine=read_machine_info(),
            power_mode=readings[0][1].power_mode,
            complete=complete,
            protocol=self._protocol,
            artifacts=tuple(rows),
            timeline=timeline,
            throttling_events=None if events is None else tuple(events),
            not_available=readings[-1][1].missing,
            found=self._found,
        )


def _open(name: str, threads: int | None, device: str | None, dataset: Dataset | None) -> ArtifactInfo:
    """Raises `InputError` for an artifact that cannot be opened, or shares no class with the data set."""
    detector = Detector(name, threads=threads, device=device)
    with detector.runtime as runtime:
        if dataset is not None:
            match_classes(detector.class_names, dataset.class_names)
        files = artifact_files(Path(name))
        return ArtifactInfo(
            artifact=name,
            model=runtime.metadata.model,
            precision=runtime.metadata.precision,
            input_hw=runtime.metadata.input_hw,
            size_bytes=sum(file.stat().st_size for file in files) if files else None,
            runtime=runtime.name,
            device=runtime.device,
            provider=runtime.provider,
        )
