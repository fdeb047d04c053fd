"""What the house's packages may import, as data, and the reader that finds what they do import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]

# Package -> the packages of ours it may import. Arrows run one way: what flies on the board knows nothing of training.
ALLOWED_ARROWS: dict[str, frozenset[str]] = {
    "edge": frozenset(),
    "boards": frozenset({"edge"}),
    "training": frozenset({"edge"}),
    "quantization": frozenset({"training", "edge"}),
    "converters": frozenset({"quantization", "training", "edge"}),
}

# Packages that a board installs, and all that they may import from others (tomli stands in for tomllib on Python 3.10).
BOARD_PACKAGES = ("edge", "boards")
BOARD_THIRD_PARTY = frozenset({"numpy", "cv2", "rich", "faster_coco_eval", "imagesize", "yaml", "tomli"})

# Runtime or protocol library -> the only file of the board packages that may import it.
RUNTIME_FILES: dict[str, str] = {
    "onnxruntime": "edge/runtimes/onnx_runtime.py",
    "ai_edge_litert": "edge/runtimes/litert.py",
    "tflite_runtime": "edge/runtimes/litert.py",
    "tensorrt": "edge/runtimes/tensorrt.py",
    "pymavlink": "edge/sinks/mavlink.py",
    "serial": "edge/mavlink_link.py",
    "openvino": "edge/runtimes/openvino.py",
}


class Import(NamedTuple):
    """One imported module: its full dotted name and the line that imports it."""

    module: str
    line: int


def imports(source: str, *, package: str) -> Iterator[Import]:
    """All modules that `source` imports anywhere in it, relative imports resolved against `package` (dotted).

    `importlib.import_module("name")` and `__import__("name")` count where the name is a literal.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield Import(".".join([*above, *([node.module] if node.module else [])]), node.lineno)
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            argument = node.args[0]
            if name in ("import_module", "__import__") and isinstance(argument, ast.Constant):
                yield Import(str(argument.value), node.lineno)


def python_files(package: str) -> list[Path]:
    """The package's Python files, relative to the repository, sorted."""
    return sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / package).rglob("*.py"))


def violations(source: str, file: Path) -> list[str]:
    """What `source`, standing at `file` (relative to the repository), imports against the rules: one line each."""
    room = file.parts[0]
    found: list[str] = []
    for module, line in imports(source, package=".".join(file.parts[:-1])):
        top = module.partition(".")[0]
        if top == room or top in sys.stdlib_module_names:
            continue
        if top in ALLOWED_ARROWS or top == "tests":
            if top not in ALLOWED_ARROWS[room]:
                found.append(f"{file}:{line}: {room} may not import {top}")
        elif room in BOARD_PACKAGES and top not in BOARD_THIRD_PARTY and RUNTIME_FILES.get(top) != file.as_posix():
            home = RUNTIME_FILES.get(top, "no file of a board package")
            found.append(f"{file}:{line}: {top} may be imported by {home} only")
    return found
