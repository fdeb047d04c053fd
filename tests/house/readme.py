"""The README's code as a newcomer meets it: indented command blocks and Python blocks, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.paths import REPOSITORY


@dataclass(frozen=True)
class Step:
    """One line to type, or one Python block to run."""

    language: str
    """`shell` or `python`."""
    text: str


def steps() -> list[Step]:
    """All steps of README.md; comments behind a command are left out."""
    found: list[Step] = []
    python: list[str] | None = None
    for line in (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines():
        if python is not None:
            if line == "```":
                found.append(Step("python", "\n".join(python)))
                python = None
            else:
                python.append(line)
        elif line == "```python":
            python = []
        elif line.startswith("    "):
            found.append(Step("shell", re.split(r"\s+#", line.strip())[0]))
    return found
