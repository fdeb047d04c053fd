"""Importing what runs on a board, or the command line, loads neither torch nor any runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

from tests.house.rules import BOARD_FOLDERS, RUNTIME_FILES, module_of, python_files
from tests.paths import REPOSITORY

HEAVY = frozenset(
    {
        "torch",
        "torchao",
        "onnx",
        "onnxruntime",
        "openvino",
        "ai_edge_litert",
        "tflite_runtime",
        "tensorrt",
        "safetensors",
        "matplotlib",
        "scipy",
    }
)


def loaded_by(modules: list[str]) -> set[str]:
    """The modules that a fresh interpreter holds after importing `modules`."""
    script = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "json.dump(sorted(sys.modules), sys.stdout)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, json.dumps(modules)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(process.stdout))


def test_board_packages_load_no_torch_and_no_runtime() -> None:
    files = [file for package in BOARD_FOLDERS for file in python_files(package)]
    modules = [module_of(file) for file in files if file.as_posix() not in RUNTIME_FILES.values()]
    loaded = loaded_by(modules)
    assert {"tinydet.edge", "tinydet.boards"} <= loaded
    assert not loaded & HEAVY
    assert not loaded & {"tinydet.training", "tinydet.quantization", "tinydet.converters"}


def test_commands_load_no_torch_and_no_runtime() -> None:
    """`tinydet --help` imports every command's module; it has to answer at once and without any extra."""
    modules = [entry.module for entry in entry_points(group="tinydet.commands")]
    assert modules
    assert not loaded_by(["tinydet.edge.commands.cli", *modules]) & (HEAVY | {"cv2", "numpy"})


def test_a_loaded_runtime_would_be_seen() -> None:
    assert "onnxruntime" in loaded_by(["tinydet.edge.runtimes.onnx_runtime", "onnxruntime"])
