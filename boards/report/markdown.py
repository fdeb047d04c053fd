"""A profile as a Markdown table: for an issue or a README."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydet.edge.commands.terminal import metric_text

METRICS = ("AP", "AP50", "APvt", "APt", "APs")


def markdown_table(profile: Mapping[str, Any]) -> str:
    """A header and a row for each artifact of `Profile.as_dict()`; a dash is what was not measured or not available."""
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
        "artifact": Path(row["artifact"]).name,
        "runtime": f"{row['runtime']} ({row['provider']})",
        "precision": row["precision"],
        "input, px": "×".join(str(side) for side in reversed(row["input_hw"])),
        "images": "-" if images is None else str(images),
        **{metric: metric_text(accuracy.get(metric)) for metric in METRICS},
        **{
            f"{stage}, ms p50 / p95": f"{row['stages'][stage]['p50_ms']:.2f} / {row['stages'][stage]['p95_ms']:.2f}"
            for stage in ("pre", "infer", "post")
        },
        "FPS, end to end": f"{row['frames_per_s']:.1f}",
        "peak memory, MiB": number(row["memory_mib"]["peak"], 0),
        "W": number(sensors["power_w"], 2),
        "J a frame": number(sensors["joules_per_frame"], 3),
        "max °C": number(sensors["max_temperature_c"], 1),
        "throttling events": number(sensors["throttling_events"], 0),
    }


def number(value: float | None, digits: int) -> str:
    """A dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"
