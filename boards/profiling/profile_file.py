"""Profile files, which `tinydet profile --json` writes: reading them, and figures of their artifacts.

A row is an item of `artifacts` in such a file, as profile.schema.json describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydet.boards.profiling.json_schema import validate
from tinydet.boards.profiling.latency_statistics import Array
from tinydet.boards.profiling.profile import SCHEMA_VERSION
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import read_json
from tinydet.edge.files.printable import printable, shown

SCHEMA = Path(__file__).with_name("profile.schema.json")
STAGES = ("pre", "infer", "post")


def read_profile(path: Path) -> dict[str, Any]:
    """Read a profile file and return its content.

    Raises:
        InputError: it cannot be read, is not JSON, or violates profile.schema.json.
    """
    content = read_json(path, what="profile", fix="expected a file written by `tinydet profile --json FILE`")
    return check_profile(content, source=printable(path))


def check_profile(content: Any, *, source: str) -> dict[str, Any]:
    """Return `content` if it follows profile.schema.json; else raise `InputError`, starting with `source`."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{source}: schema_version is {shown(version)}, expected {SCHEMA_VERSION}: "
            "measure again with `tinydet profile --json`"
        )
    validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")), source=source)
    profile: dict[str, Any] = content
    return profile


def file_name(row: Mapping[str, Any]) -> str:
    """Name of the artifact's file without its folder."""
    return Path(row["artifact"]).name


def average_precision(row: Mapping[str, Any]) -> float | None:
    """AP, 0 to 1; None where it was not measured or no object exists."""
    ap: float | None = None if row["accuracy"] is None else row["accuracy"]["AP"]
    return ap


def turn_times_ms(row: Mapping[str, Any], stages: Sequence[str] = STAGES) -> list[Array]:
    """(N,) times of each turn's frames, summed over `stages`.

    Raises:
        InputError: the stages of a turn differ in length.
    """
    for turn in row["turns"]:
        if len({len(turn[f"{stage}_ms"]) for stage in STAGES}) != 1:
            raise InputError(f"{row['artifact']}: a turn has stages of different length: the profile is damaged")
    return [np.sum([turn[f"{stage}_ms"] for stage in stages], axis=0, dtype=np.float64) for turn in row["turns"]]
