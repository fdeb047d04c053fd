"""Imports between the packages run one way, and a board's packages import nothing a board lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.rules import ALLOWED_ARROWS, REPOSITORY, RUNTIME_FILES, python_files, violations


@pytest.mark.parametrize("package", ALLOWED_ARROWS)
def test_imports_follow_the_arrows(package: str) -> None:
    files = python_files(package)
    assert files, f"package {package} holds no Python file"
    found = [line for file in files for line in violations((REPOSITORY / file).read_text(encoding="utf-8"), file)]
    assert not found, "\n".join(found)


def test_every_runtime_has_its_file() -> None:
    missing = [file for file in RUNTIME_FILES.values() if not (REPOSITORY / file).is_file()]
    assert not missing


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edge/detector.py", "import training.model"),
        ("edge/detector.py", "from tests.house import rules"),
        ("edge/detector.py", "def f():\n    import torch"),
        ("edge/detector.py", "import importlib\nimportlib.import_module('torch')"),
        ("edge/detector.py", "import onnxruntime"),
        ("boards/profiler.py", "from onnxruntime import InferenceSession"),
        ("boards/profiler.py", "import psutil"),
        ("training/engine/loop.py", "from quantization import ptq"),
        ("quantization/ptq.py", "from converters import onnx"),
        ("edge/runtimes/base.py", "from ...training import model"),
    ],
)
def test_a_forbidden_import_is_found(file: str, source: str) -> None:
    assert len(violations(source, Path(file))) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("edge/runtimes/onnx_runtime.py", "import onnxruntime"),
        ("edge/commands/detect.py", "from ..detections import Detections\nfrom edge.errors import InputError"),
        ("edge/accuracy.py", "import json\nimport cv2\nimport numpy as np\nfrom rich.table import Table"),
        ("converters/onnx.py", "import onnx\nimport torch\nfrom quantization import ptq\nfrom training import model"),
    ],
)
def test_an_allowed_import_passes(file: str, source: str) -> None:
    assert violations(source, Path(file)) == []
