"""File trees of boards, from a TOML file each.

They were written from public documentation (of the kernel, NVIDIA and Raspberry Pi), not recorded on boards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydet.edge.files.toml_file import read_toml

FIXTURES = Path(__file__).with_name("fixtures")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Files of a board at two times."""

    root: Path
    later: Mapping[str, str]
    commands: Mapping[str, str]

    def pass_time(self) -> None:
        """Write the files that changed in the meantime."""
        lay_out(self.root, self.later)

    def run(self, arguments: Sequence[str]) -> str | None:
        """Output of a vendor's tool."""
        return self.commands.get(" ".join(arguments))


def board(name: str, root: Path) -> Tree:
    """Write the files of a board below `root`."""
    content = read_toml(FIXTURES / f"{name}.toml")
    lay_out(root, content["files"])
    return Tree(root=root, later=content.get("later", {}), commands=content.get("commands", {}))


def lay_out(root: Path, files: Mapping[str, str]) -> None:
    """Write each file and its folders."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
