"""The wheel of this tree, and a fresh environment that holds what a board would install: no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import REPOSITORY


@dataclass(frozen=True, kw_only=True)
class BoardInstall:
    """A virtual environment with the wheel and the onnxruntime extra."""

    binaries: Path
    """The environment's folder of commands."""

    def run(self, command: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's commands in `cwd`; nothing of the caller's Python environment leaks in."""
        leaking = ("PYTHON", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(leaking)}
        return subprocess.run(
            [self.binaries / command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this tree."""
    return build_wheel(REPOSITORY, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def weights_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the bundled checkpoints."""
    return build_wheel(REPOSITORY / "training" / "weights", tmp_path_factory.mktemp("weights"))


def build_wheel(project: Path, folder: Path) -> Path:
    """Into `folder`."""
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, project)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def board_install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> BoardInstall:
    """What `pip install 'tinydet[onnxruntime]'` leaves on a board, at the versions of constraints.txt."""
    folder = tmp_path_factory.mktemp("board") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    requirement = f"tinydet[onnxruntime] @ {wheel.as_uri()}"
    pip(folder / "bin" / "python", "install", "--constraint", REPOSITORY / "constraints.txt", requirement)
    return BoardInstall(binaries=folder / "bin")


def pip(python: str | Path, *arguments: str | Path) -> None:
    """Run pip; its own words are the message when it fails."""
    process = subprocess.run([python, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
