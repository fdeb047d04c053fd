"""Metadata of an artifact, a model file for one runtime: a JSON text inside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json
from tinydet.edge.files.numbers import Range
from tinydet.edge.files.printable import shown
from tinydet.edge.files.schema import Length, Matches, Name, Sha256, validated

SCHEMA_VERSION = 1

METADATA_KEY = "tinydet"
"""Name of the metadata field that holds the JSON text."""
WEIGHTS_KEY = "tinydet_weights_crc32"
"""Name of the metadata field that holds the check sum of the weights."""

LARGEST_SIDE_PX = 8192
MOST_CLASSES = 10_000

ModelName = Annotated[str, Matches("[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _: it begins file names")]
ClassNames = Annotated[tuple[Name, ...], Length(1, MOST_CLASSES)]
SidePx = Annotated[int, Range(1, LARGEST_SIDE_PX)]
Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True, kw_only=True)
class ArtifactMetadata:
    """Everything needed to run an artifact correctly, and its origin.

    Raises:
        InputError: a field is out of range or contradicts another; the message names it.
    """

    schema_version: int = SCHEMA_VERSION
    """Version of this record; a newer one is refused."""
    model: ModelName
    """Name of the network's size, for example `n`."""
    class_names: ClassNames
    """Name of class i."""
    input_hw: tuple[SidePx, SidePx]
    """Height and width of the input, pixels."""
    pad_value: Annotated[int, Range(0, 255)] = 114
    """Grey level of the letterbox's padding."""
    strides: Annotated[tuple[SidePx, ...], Length(1, 8)] = (4, 8, 16)
    """Strides of the detection levels, input pixels."""
    score_threshold: Share
    """Default score threshold, 0 to 1."""
    nms_iou_threshold: Share
    """Default IoU threshold of NMS, 0 to 1."""
    max_detections: Annotated[int, Range(1, 1_000_000)]
    """Maximum detections per image."""
    precision: Annotated[str, Matches("fp32|fp16|int8", "fp32, fp16 or int8")]
    quantization: Annotated[str, Matches("ptq|qat", "ptq or qat")] | None = None
    """ptq or qat for int8, else None."""
    calibration: Mapping[str, Any] | None = None
    """For int8, the images that the ranges were measured on: count, sha256 of the list, images."""
    float_blocks: tuple[Name, ...] = ()
    """For int8, the names of the network's blocks that stay in float."""
    checkpoint_sha256: Sha256
    """Hash of the checkpoint that the artifact was made from."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Package name -> version, of the tools that made the artifact."""
    accuracy: Mapping[str, Any] | None = None
    """Accuracy measured with this very artifact: the metrics of `Accuracy.as_dict()`, and `data`."""

    def __post_init__(self) -> None:
        stride = max(self.strides)
        checks = {
            "class_names": len(set(self.class_names)) == len(self.class_names),
            "strides": list(self.strides) == sorted(set(self.strides)),
            "input_hw": all(side % stride == 0 for side in self.input_hw),
        }
        for name, holds in checks.items():
            if not holds:
                raise InputError(f"artifact metadata: {name} cannot be {shown(getattr(self, name))}")
        is_int8 = self.precision == "int8"
        if is_int8 and self.quantization is None:
            raise InputError(f"artifact metadata: precision is int8 but quantization is {self.quantization!r}")
        if not is_int8 and (self.quantization is not None or self.calibration is not None or self.float_blocks):
            raise InputError(
                f"artifact metadata: precision is {self.precision} but quantization, calibration or float_blocks is set"
            )

    @property
    def output_shapes(self) -> dict[str, tuple[int, int, int]]:
        """(height, width, channels) of each raw output by name, in the network's order: edge/detection/decoding.py."""
        height, width = self.input_hw
        shapes = {}
        for stride in self.strides:
            level = stride.bit_length() - 1  # P2 has stride 4
            for name, channels in (("logits", len(self.class_names)), ("distances", 4)):
                shapes[f"{name}_p{level}"] = (height // stride, width // stride, channels)
        return shapes

    def to_json(self) -> str:
        """Write the JSON text that the artifact carries."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> ArtifactMetadata:
        """Read the JSON text of `to_json`.

        Raises:
            InputError: not JSON, written by a newer version, or a field is missing, unknown, mistyped or contradictory.
        """
        content = parse_json(text, source=_SOURCE)
        if not isinstance(content, dict):
            raise InputError(f"{_SOURCE}: expected an object, got {shown(content)}")
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{_SOURCE}: schema_version is {shown(version)}, this tinydet reads {SCHEMA_VERSION}: "
                "update tinydet, or export the model again"
            )
        missing = [known.name for known in fields(cls) if known.name not in content]
        if missing:
            raise InputError(f"{_SOURCE}: {missing[0]} is missing: export the model again")
        return validated(content, cls, source=_SOURCE)


_SOURCE = "artifact metadata"
