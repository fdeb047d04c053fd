"""Command-line tools of the boards' vendors, and the power mode that NVIDIA's `nvpmodel` reports."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence

TOOL_TIMEOUT_S = 2.0

RunTool = Callable[[Sequence[str]], "str | None"]
"""Runs a command line and returns its stdout; None if there is no such tool or it fails."""


def run_tool(arguments: Sequence[str]) -> str | None:
    """Run a command line and return its stdout; None if there is no such tool, it fails or takes longer than 2 s."""
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def jetson_power_mode(run: RunTool = run_tool) -> str | None:
    """Name of a Jetson's power mode, for example `MAXN`, from `NV Power Mode: MAXN`; None elsewhere."""
    match = re.search(r"^NV Power Mode: *(\S.*?) *$", run(["nvpmodel", "-q"]) or "", re.MULTILINE)
    return None if match is None else match[1]
