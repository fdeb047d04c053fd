"""`Profile`: the result of a measurement, as profile.schema.json describes its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.boards.machine_info import MachineInfo
from tinydet.boards.profiling.latency_statistics import Percentiles
from tinydet.boards.profiling.sampling import Sample, ThrottlingEvent
from tinydet.boards.profiling.timing import Memory, Turn
from tinydet.edge.detections import Detections
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.runtimes.engine_sidecar import sidecar_path

SCHEMA_VERSION = 1

_DIGITS_MS = 4


@dataclass(frozen=True, kw_only=True)
class Sensors:
    """Sensors while an artifact was timed; None: not available."""

    power_w: float | None
    """Mean power of the whole board."""
    joules_per_frame: float | None
    """Mean power / frames per second: of the whole board, idle power included."""
    first_temperature_c: float | None
    max_temperature_c: float | None
    throttling_events: int | None


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Effect of heat on a sustained run: frames per second in the first and in the last tenth of the time."""

    first_frames_per_s: float
    last_frames_per_s: float


def artifact_files(artifact: Path) -> list[Path]:
    """The artifact and its weights (OpenVINO) or sidecar (TensorRT); empty for a bundled size."""
    beside = {".xml": artifact.with_suffix(".bin"), ".engine": sidecar_path(artifact)}.get(artifact.suffix)
    return [path for path in (artifact, beside) if path is not None and path.is_file()]


@dataclass(frozen=True, kw_only=True)
class ArtifactInfo:
    """An artifact and the runtime that runs it."""

    artifact: str
    """File or bundled size."""
    model: str
    precision: str
    input_hw: tuple[int, int]
    size_bytes: int | None
    """Size of its files; None for a bundled size."""
    runtime: str
    """Name and version."""
    device: str
    provider: str
    """Back end that ran."""


@dataclass(frozen=True, kw_only=True)
class ArtifactProfile(ArtifactInfo):
    """Figures of one artifact."""

    frame_count: int
    """Number of timed frames."""
    objects_per_frame: float
    stages: dict[str, Percentiles]
    """By stage: pre, infer, post and total."""
    frames_per_s: float
    """End to end: number of timed frames / sum of their total times."""
    load_ms: float
    """Median of the turns."""
    first_result_ms: float
    """Median of the turns."""
    memory_mib: Memory
    """Highest values of all turns."""
    steady: bool
    """Whether the warm-up of every turn ended steady."""
    sensors: Sensors
    heat: Heat | None
    """None unless the run was sustained."""
    accuracy: Accuracy | None
    """On the labelled data; None without any."""
    turns: tuple[Turn, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        row: dict[str, Any] = asdict(self)
        row["input_hw"] = list(self.input_hw)
        row["accuracy"] = None if self.accuracy is None else self.accuracy.as_dict()
        for turn in row["turns"]:
            for stage in ("pre_ms", "infer_ms", "post_ms"):
                turn[stage] = [round(value, _DIGITS_MS) for value in turn[stage].tolist()]
        return row


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Figures of artifacts, and the conditions they were measured under."""

    machine: MachineInfo
    power_mode: str | None
    """On a Jetson; None elsewhere."""
    complete: bool
    """False: the measurement broke off; the figures so far."""
    protocol: dict[str, Any]
    artifacts: tuple[ArtifactProfile, ...]
    timeline: tuple[Sample, ...]
    throttling_events: tuple[ThrottlingEvent, ...] | None
    """None: the board does not report throttling."""
    not_available: tuple[str, ...]
    """Sensors that could not be read."""
    found: Mapping[str, Sequence[Detections]] = field(default_factory=dict, repr=False)
    """By artifact: detections in the labelled images; not written to files."""

    def as_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        events = self.throttling_events
        samples = [asdict(sample) for sample in self.timeline]
        for sample in samples:
            sample["throttled"] = None if sample["throttled"] is None else list(sample["throttled"])
        return {
            "schema_version": SCHEMA_VERSION,
            "machine": asdict(self.machine),
            "power_mode": self.power_mode,
            "complete": self.complete,
            "protocol": self.protocol,
            "artifacts": [row.as_dict() for row in self.artifacts],
            "timeline": samples,
            "throttling_events": None if events is None else [asdict(event) for event in events],
            "not_available": list(self.not_available),
        }


@dataclass(frozen=True, kw_only=True)
class ProfileOutput:
    """Outputs of a measurement, on this machine or on another one."""

    content: dict[str, Any]
    """`Profile.as_dict()`."""
    report_html: str | None = None
    broken: str | None = None
    """Why the profile is incomplete; None if it is complete."""
