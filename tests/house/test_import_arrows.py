"""Imports run one way between folders, without a circle inside them, and boards import nothing a board lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.rules import (
    ALLOWED_ARROWS,
    PACKAGE,
    RUNTIME_FILES,
    Arrow,
    arrows,
    circles,
    imports,
    python_files,
    violations,
)
from tests.paths import REPOSITORY

MOST_ARROWS_IN_EDGE = 60


@pytest.mark.parametrize("folder", ALLOWED_ARROWS)
def test_imports_follow_the_arrows(folder: str) -> None:
    files = python_files(folder)
    assert files, f"folder {folder} holds no Python file"
    found = [line for file in files for line in violations((REPOSITORY / file).read_text(encoding="utf-8"), file)]
    assert not found, "\n".join(found)


def test_tests_import_the_package_by_its_name() -> None:
    bare = [
        f"{file}:{line}: {module}"
        for file in [*python_files("tests"), *python_files("docs")]
        for module, line in imports((REPOSITORY / file).read_text(encoding="utf-8"), package="tests")
        if module.partition(".")[0] in ALLOWED_ARROWS
    ]
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize("folder", ALLOWED_ARROWS)
def test_no_file_imports_itself_through_others(folder: str) -> None:
    assert circles(arrows(folder, by_file=True)) == []


@pytest.mark.parametrize("folder", ALLOWED_ARROWS)
def test_no_room_imports_itself_through_others(folder: str) -> None:
    assert circles(arrows(folder, by_file=False)) == []


def test_the_rooms_of_edge_know_few_of_each_other() -> None:
    found = arrows("edge", by_file=False)
    assert len(found) <= MOST_ARROWS_IN_EDGE, "\n".join(sorted(map(str, found)))


def test_a_circle_is_found() -> None:
    assert circles({Arrow("a", "b"), Arrow("b", "c"), Arrow("c", "b")}) == ["b", "c"]


def test_every_runtime_has_its_file() -> None:
    missing = [file for file in RUNTIME_FILES.values() if not (REPOSITORY / file).is_file()]
    assert not missing


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edge/files/writing.py", "import tinydet.training.model"),
        ("edge/files/writing.py", "from tinydet import training"),
        ("edge/files/writing.py", "from edge.errors import InputError"),
        ("edge/files/writing.py", "import boards"),
        ("edge/files/writing.py", "from tests.house import rules"),
        ("edge/files/writing.py", "def f():\n    import torch"),
        ("edge/files/writing.py", "import importlib\nimportlib.import_module('torch')"),
        ("edge/files/writing.py", "import onnxruntime"),
        ("boards/telemetry.py", "from onnxruntime import InferenceSession"),
        ("boards/telemetry.py", "import psutil"),
        ("training/engine/loop.py", "from tinydet.quantization import ptq"),
        ("quantization/ptq.py", "from tinydet.converters import onnx"),
        ("edge/runtimes/base.py", "from ...training import model"),
    ],
)
def test_a_forbidden_import_is_found(file: str, source: str) -> None:
    assert len(violations(source, Path(file))) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edge/runtimes/onnx_runtime.py", "import onnxruntime"),
        ("edge/commands/detect.py", "from ..detections import Detections\nfrom tinydet.edge.errors import InputError"),
        ("edge/files/writing.py", "import json\nimport cv2\nimport numpy as np\nfrom rich.table import Table"),
        ("converters/onnx.py", "import onnx\nfrom tinydet.quantization import ptq\nfrom tinydet.training import model"),
    ],
)
def test_an_allowed_import_passes(file: str, source: str) -> None:
    assert violations(source, Path(file)) == []


def test_the_package_holds_a_link_to_each_folder() -> None:
    for folder in ALLOWED_ARROWS:
        assert (REPOSITORY / PACKAGE / folder).resolve() == REPOSITORY / folder
