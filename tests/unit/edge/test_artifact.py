from __future__ import annotations

import json
from typing import Any

import pytest

from tests.models import SPOT_METADATA, spot_metadata
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError

INT8 = spot_metadata(
    precision="int8",
    quantization="ptq",
    calibration={"count": 1, "sha256": "0" * 64, "images": ["a.png"]},
    accuracy={"AP": 0.5, "APm": None, "data": "val.json"},
)


@pytest.mark.parametrize("metadata", [SPOT_METADATA, INT8])
def test_what_is_written_is_read(metadata: ArtifactMetadata) -> None:
    assert ArtifactMetadata.from_json(metadata.to_json()) == metadata


@pytest.mark.parametrize("name", sorted(json.loads(INT8.to_json())))
def test_a_missing_field_is_named(name: str) -> None:
    content = json.loads(INT8.to_json())
    del content[name]
    with pytest.raises(InputError, match=name):
        ArtifactMetadata.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema_version is 2, this tinydet reads 1: update tinydet"),
        ({"colour": "red"}, "unknown field colour"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["a", "a"]}, "class_names"),
        ({"class_names": ["a", 1]}, "class_names"),
        ({"input_hw": [64]}, "input_hw"),
        ({"input_hw": [64, 65]}, "input_hw"),
        ({"strides": [8, 4]}, "strides"),
        ({"pad_value": 256}, "pad_value"),
        ({"pad_value": True}, "pad_value"),
        ({"score_threshold": "0.5"}, "score_threshold"),
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"nms_iou_threshold": -0.1}, "nms_iou_threshold"),
        ({"max_detections": 0}, "max_detections"),
        ({"precision": "int4"}, "precision"),
        ({"quantization": None}, "precision is int8 but quantization is None"),
        ({"precision": "fp32"}, "precision is fp32 but quantization, calibration or float_blocks is set"),
    ],
)
def test_a_contradictory_field_is_named(changes: dict[str, Any], message: str) -> None:
    content = json.loads(INT8.to_json()) | changes
    with pytest.raises(InputError, match=message):
        ArtifactMetadata.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_metadata_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="artifact metadata"):
        ArtifactMetadata.from_json(text)
