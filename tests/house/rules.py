"""Import rules of the package as data, and the reader that finds violations."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.paths import REPOSITORY

PACKAGE = "tinydet"

# Folder -> the folders of ours it may import. Arrows run one way: what flies on the board knows nothing of training.
ALLOWED_ARROWS: dict[str, frozenset[str]] = {
    "edge": frozenset(),
    "boards": frozenset({"edge"}),
    "training": frozenset({"edge"}),
    "quantization": frozenset({"training", "edge"}),
    "converters": frozenset({"quantization", "training", "edge"}),
}

# Folders that a board installs, and all that they may import from others (tomli stands in for tomllib on Python 3.10).
BOARD_FOLDERS = ("edge", "boards")
BOARD_THIRD_PARTY = frozenset({"numpy", "cv2", "rich", "faster_coco_eval", "imagesize", "yaml", "tomli"})

# Runtime or protocol library -> the only file of the board folders that may import it.
RUNTIME_FILES: dict[str, str] = {
    "onnxruntime": "edge/runtimes/onnx_runtime.py",
    "ai_edge_litert": "edge/runtimes/litert.py",
    "tflite_runtime": "edge/runtimes/litert.py",
    "tensorrt": "edge/runtimes/tensorrt.py",
    "pymavlink": "edge/aircraft/autopilot.py",
    "serial": "edge/aircraft/link.py",
    "openvino": "edge/runtimes/openvino.py",
}


class Import(NamedTuple):
    """One imported module: its full dotted name and the line that imports it."""

    module: str
    line: int


def imports(source: str, *, package: str) -> Iterator[Import]:
    """All modules that `source` imports anywhere in it, relative imports resolved against `package` (dotted).

    A name imported from one of our modules counts as `module.name`: it may be a module itself.
    `importlib.import_module("name")` and `__import__("name")` count where the name is a literal.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module.partition(".")[0] == PACKAGE:
                for alias in node.names:
                    yield Import(f"{module}.{alias.name}", node.lineno)
            else:
                yield Import(module, node.lineno)
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            argument = node.args[0]
            if name in ("import_module", "__import__") and isinstance(argument, ast.Constant):
                yield Import(str(argument.value), node.lineno)


def python_files(folder: str) -> list[Path]:
    """The folder's Python files, relative to the repository, sorted."""
    return sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / folder).rglob("*.py"))


def module_of(file: Path) -> str:
    """The name a file is imported by; `file` is relative to the repository."""
    return ".".join((PACKAGE, *file.with_suffix("").parts)).removesuffix(".__init__")


def violations(source: str, file: Path) -> list[str]:
    """What `source`, standing at `file` (relative to the repository), imports against the rules: one line each."""
    folder = file.parts[0]
    found: list[str] = []
    for module, line in imports(source, package=".".join((PACKAGE, *file.parts[:-1]))):
        top, _, rest = module.partition(".")
        if top in ALLOWED_ARROWS:
            found.append(f"{file}:{line}: import tinydet.{module}, not {module}: that name belongs to the user")
        elif top == PACKAGE:
            imported = rest.partition(".")[0]
            if imported in ALLOWED_ARROWS and imported != folder and imported not in ALLOWED_ARROWS[folder]:
                found.append(f"{file}:{line}: {folder} may not import {imported}")
        elif top == "tests":
            found.append(f"{file}:{line}: {folder} may not import tests")
        elif top in sys.stdlib_module_names:
            continue
        elif folder in BOARD_FOLDERS and top not in BOARD_THIRD_PARTY and RUNTIME_FILES.get(top) != file.as_posix():
            home = RUNTIME_FILES.get(top, "no file of a board folder")
            found.append(f"{file}:{line}: {top} may be imported by {home} only")
    return found


class Arrow(NamedTuple):
    """One part of a folder imports another."""

    importer: str
    imported: str


def arrows(folder: str, *, by_file: bool) -> set[Arrow]:
    """Imports inside `folder` between its files (`by_file`), or between its rooms.

    A room is a subfolder; each file that stands directly in the folder is a room of its own.
    """
    modules = {module_of(file) for file in python_files(folder)}
    prefix = f"{PACKAGE}.{folder}."

    def part(module: str) -> str:
        return module.removeprefix(prefix) if by_file else module.removeprefix(prefix).partition(".")[0]

    found = set()
    for file in python_files(folder):
        importer = module_of(file)
        if importer + "." == prefix:
            continue
        package = ".".join((PACKAGE, *file.parts[:-1]))
        for name, _ in imports((REPOSITORY / file).read_text(encoding="utf-8"), package=package):
            imported = name if name in modules else name.rpartition(".")[0]
            if imported in modules and imported.startswith(prefix) and part(imported) != part(importer):
                found.add(Arrow(part(importer), part(imported)))
    return found


def circles(found: set[Arrow]) -> list[str]:
    """Names that can be reached from themselves, sorted."""
    reached: dict[str, set[str]] = {}
    for arrow in found:
        reached.setdefault(arrow.importer, set()).add(arrow.imported)
    changed = True
    while changed:
        changed = False
        for names in reached.values():
            more = set().union(*(reached.get(name, set()) for name in names)) - names
            names |= more
            changed = changed or bool(more)
    return sorted(name for name, names in reached.items() if name in names)
