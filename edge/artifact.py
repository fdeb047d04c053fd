"""Metadata of an artifact, a model file for one runtime: a JSON text inside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tinydet.edge.errors import InputError

SCHEMA_VERSION = 1

METADATA_KEY = "tinydet"
"""Name of the metadata field that holds the JSON text."""

PRECISIONS = ("fp32", "fp16", "int8")
QUANTIZATION_METHODS = ("ptq", "qat")


@dataclass(frozen=True, kw_only=True)
class ArtifactMetadata:
    """Everything needed to run an artifact correctly, and its origin.

    Raises:
        InputError: a field is out of range or contradicts another; the message names it.
    """

    schema_version: int = SCHEMA_VERSION
    """Version of this record; a newer one is refused."""
    model: str
    """Name of the network's size, for example `n`."""
    class_names: tuple[str, ...]
    """Name of class i."""
    input_hw: tuple[int, int]
    """Height and width of the input, pixels."""
    pad_value: int = 114
    """Grey level of the letterbox's padding."""
    strides: tuple[int, ...] = (4, 8, 16)
    """Strides of the detection levels, input pixels."""
    score_threshold: float
    """Default score threshold, 0 to 1."""
    nms_iou_threshold: float
    """Default IoU threshold of NMS, 0 to 1."""
    max_detections: int
    """Maximum detections per image."""
    precision: str
    """fp32, fp16 or int8."""
    quantization: str | None = None
    """ptq or qat for int8, else None."""
    calibration: Mapping[str, Any] | None = None
    """For int8, the images that the ranges were measured on: count, sha256 of the list, images."""
    float_blocks: tuple[str, ...] = ()
    """For int8, the names of the network's blocks that stay in float."""
    checkpoint_sha256: str
    """Hash of the checkpoint that the artifact was made from."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Package name -> version, of the tools that made the artifact."""
    accuracy: Mapping[str, Any] | None = None
    """Accuracy measured with this very artifact: the metrics of `Accuracy.as_dict()`, and `data`."""

    def __post_init__(self) -> None:
        stride = max(self.strides, default=0)
        checks = {
            "class_names": len(self.class_names) > 0 and len(set(self.class_names)) == len(self.class_names),
            "strides": stride > 0 and list(self.strides) == sorted(set(self.strides)) and self.strides[0] > 0,
            "input_hw": [side > 0 and side % max(stride, 1) == 0 for side in self.input_hw] == [True, True],
            "pad_value": 0 <= self.pad_value <= 255,
            "score_threshold": 0 <= self.score_threshold <= 1,
            "nms_iou_threshold": 0 <= self.nms_iou_threshold <= 1,
            "max_detections": self.max_detections > 0,
            "precision": self.precision in PRECISIONS,
        }
        for name, holds in checks.items():
            if not holds:
                raise InputError(f"artifact metadata: {name} cannot be {getattr(self, name)!r}")
        is_int8 = self.precision == "int8"
        if is_int8 and self.quantization not in QUANTIZATION_METHODS:
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
    def from_json(cls, text: str) -> ArtifactMetadata:
        """Read the JSON text of `to_json`.

        Raises:
            InputError: not JSON, written by a newer version, or a field is missing, unknown, mistyped or contradictory.
        """
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"artifact metadata: broken JSON ({error.msg})") from error
        if not isinstance(content, dict):
            raise InputError(f"artifact metadata: expected an object, got {type(content).__name__}")
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"artifact metadata: schema_version is {version!r}, this tinydet reads {SCHEMA_VERSION}: "
                "update tinydet, or export the model again"
            )
        _check_fields(content)
        for name in ("class_names", "input_hw", "strides", "float_blocks"):
            content[name] = tuple(content[name])
        return cls(**content)


#: Field -> JSON types that it may have; tuples are lists in JSON.
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "schema_version": (int,),
    "model": (str,),
    "class_names": (list,),
    "input_hw": (list,),
    "pad_value": (int,),
    "strides": (list,),
    "score_threshold": (float, int),
    "nms_iou_threshold": (float, int),
    "max_detections": (int,),
    "precision": (str,),
    "quantization": (str, type(None)),
    "calibration": (dict, type(None)),
    "float_blocks": (list,),
    "checkpoint_sha256": (str,),
    "tool_versions": (dict,),
    "accuracy": (dict, type(None)),
}
_ITEM_TYPES: Mapping[str, type] = {"class_names": str, "input_hw": int, "strides": int, "float_blocks": str}


def _check_fields(content: dict[str, Any]) -> None:
    names = [known.name for known in fields(ArtifactMetadata)]
    for name in names:
        if name not in content:
            raise InputError(f"artifact metadata: {name} is missing: export the model again")
    for name, value in content.items():
        if name not in names:
            raise InputError(f"artifact metadata: unknown field {name}")
        of_type = isinstance(value, _JSON_TYPES[name]) and not isinstance(value, bool)
        if of_type and name in _ITEM_TYPES:
            of_type = all(isinstance(item, _ITEM_TYPES[name]) for item in value)
        if not of_type:
            raise InputError(f"artifact metadata: {name} cannot be {value!r}")
