"""What a measurement of artifacts says, and the file it is written to (profile.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.boards.machine import Machine
from tinydet.boards.profiling.json_schema import check
from tinydet.boards.profiling.latency_statistics import Percentiles
from tinydet.boards.profiling.sampling import Sample, ThrottlingEvent
from tinydet.boards.profiling.timing import Memory, Turn
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import Accuracy

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).with_name("profile.schema.json")

_DIGITS_MS = 4


@dataclass(frozen=True, kw_only=True)
class Sensors:
    """The board while an artifact was timed; None where it does not say."""

    power_w: float | None
    """Mean of the whole board."""
    joules_per_frame: float | None
    """Mean power by frames a second: of the whole board, idle share included."""
    first_temperature_c: float | None
    max_temperature_c: float | None
    throttling_events: int | None


@dataclass(frozen=True, kw_only=True)
class Heat:
    """What heat does to a sustained run: frames a second in the first and in the last tenth of the time."""

    first_frames_per_s: float
    last_frames_per_s: float


@dataclass(frozen=True, kw_only=True)
class ArtifactProfile:
    """What one artifact costs and gives."""

    artifact: str
    """The file, or the bundled size."""
    model: str
    precision: str
    input_hw: tuple[int, int]
    size_bytes: int | None
    """Of the file and what belongs to it; None for a bundled size."""
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
    load_ms: float
    """Median of the turns, as are the next ones."""
    first_result_ms: float
    memory_mib: Memory
    """Of all turns the most."""
    steady: bool
    """The warm-up of every turn ended steady."""
    sensors: Sensors
    heat: Heat | None
    """Of a sustained run."""
    accuracy: Accuracy | None
    """On the labelled data, if there were any."""
    turns: tuple[Turn, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
        row: dict[str, Any] = asdict(self)
        row["input_hw"] = list(self.input_hw)
        row["accuracy"] = None if self.accuracy is None else self.accuracy.as_dict()
        for turn in row["turns"]:
            for stage in ("pre_ms", "infer_ms", "post_ms"):
                turn[stage] = [round(value, _DIGITS_MS) for value in turn[stage].tolist()]
        return row


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A measurement of artifacts, with all that is needed to read it."""

    machine: Machine
    power_mode: str | None
    """Of a Jetson."""
    complete: bool
    """False: it broke off, and holds what was measured until then."""
    protocol: dict[str, Any]
    artifacts: tuple[ArtifactProfile, ...]
    timeline: tuple[Sample, ...]
    throttling_events: tuple[ThrottlingEvent, ...] | None
    """None: the board does not tell."""
    not_available: tuple[str, ...]
    """Sensors that said nothing."""
    found: Mapping[str, Sequence[Detections]] = field(default_factory=dict, repr=False)
    """Detections in the labelled images by artifact; not written to files."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
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


def read_profile(path: Path) -> dict[str, Any]:
    """The content of a file that `tinydet profile --json` wrote.

    Raises:
        InputError: it cannot be read, is no JSON, or not what profile.schema.json says.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: expected what `tinydet profile --json FILE` wrote") from error
    return check_profile(content, source=str(path))


def check_profile(content: Any, *, source: str) -> dict[str, Any]:
    """`content`, if it is what profile.schema.json says; else raises `InputError`, starting with `source`."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{source}: schema_version is {version!r}, expected {SCHEMA_VERSION}: "
            "measure again with `tinydet profile --json`"
        )
    check(content, json.loads(SCHEMA.read_text(encoding="utf-8")), source=source)
    profile: dict[str, Any] = content
    return profile
