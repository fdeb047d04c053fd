"""Writes what `make bench` measured as a Markdown table: `python -m tests.benchmarks.table bench.json bench.md`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tinydet.edge.files.writing import write_text


def markdown(content: dict[str, Any]) -> str:
    """`content`: as pytest-benchmark writes it."""
    cpu = content["machine_info"]["cpu"]
    lines = [
        f"{cpu['brand_raw']}, {cpu['count']} cores, {content['datetime'][:10]}",
        "",
        "| what | median, ms | rounds | seen |",
        "|---|---|---|---|",
    ]
    for row in content["benchmarks"]:
        seen = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row["extra_info"].items()
        )
        name = row["fullname"].removeprefix("tests/benchmarks/test_").replace(".py::test_", ": ")
        lines.append(f"| {name} | {row['stats']['median'] * 1e3:.4g} | {row['stats']['rounds']} | {seen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write_text(target, markdown(json.loads(source.read_text(encoding="utf-8"))))
