"""The source distribution is enough to build the same wheel and to run `make test`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.house.conftest import build_wheel
from tests.house.rules import ALLOWED_ARROWS
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `tar -xzf tinydet-VERSION.tar.gz` makes."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(folder), str(REPOSITORY)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_it_holds_what_make_test_needs(unpacked: Path) -> None:
    names = {path.name for path in unpacked.iterdir()}
    assert {*ALLOWED_ARROWS, "tests", "docs", "tinydet", "Makefile", "constraints.txt", "pyproject.toml"} <= names
    planned = subprocess.run(["make", "--dry-run", "test"], cwd=unpacked, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
    for folder in ALLOWED_ARROWS:
        assert f"ln -s ../{folder} tinydet/{folder}" in planned.stdout


def test_its_wheel_is_the_trees(unpacked: Path, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(build_wheel(unpacked, tmp_path)) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
