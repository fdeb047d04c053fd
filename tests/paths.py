"""Folders that tests read."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EDGE_TESTS = REPOSITORY / "tests" / "unit" / "edge"
