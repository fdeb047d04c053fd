"""A profile as a Markdown table, for an issue or a README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinydet.boards.profiling.profile_file import STAGES, file_name
from tinydet.boards.report.summary import number_text
from tinydet.edge.commands.terminal import metric_text

METRICS = ("AP", "AP50", "APvt", "APt", "APs")


def markdown_table(profile: Mapping[str, Any]) -> str:
    """A header and a row for each artifact of `Profile.as_dict()`; a dash for a figure that was not measured."""
    rows = [_cells(profile, artifact) for artifact in profile["artifacts"]]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _cells(profile: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """Column -> text."""
    accuracy, sensors = row["accuracy"] or {}, row["sensors"]
    images = profile["protocol"]["images"]
    return {
        "board": profile["machine"]["name"],
        "power mode": profile["power_mode"] or "-",
        "artifact": file_name(row),
        "runtime": f"{row['runtime']} ({row['provider']})",
        "precision": row["precision"],
        "input, px": "×".join(str(side) for side in reversed(row["input_hw"])),
        "images": "-" if images is None else str(images),
        **{metric: metric_text(accuracy.get(metric)) for metric in METRICS},
        **{
            f"{stage}, ms p50 / p95": f"{row['stages'][stage]['p50_ms']:.2f} / {row['stages'][stage]['p95_ms']:.2f}"
            for stage in STAGES
        },
        "FPS, end to end": f"{row['frames_per_s']:.1f}",
        "peak memory, MiB": number_text(row["memory_mib"]["peak"], 0),
        "W": number_text(sensors["power_w"], 2),
        "J per frame": number_text(sensors["joules_per_frame"], 3),
        "max °C": number_text(sensors["max_temperature_c"], 1),
        "throttling events": number_text(sensors["throttling_events"], 0),
    }
