"""`import tinydet` gives the documented names, with documentation, and loads nothing before it is used."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinydet
from tests.paths import REPOSITORY

PUBLIC = {
    "Accuracy",
    "Dataset",
    "Detections",
    "Detector",
    "Frame",
    "FrameResult",
    "InputError",
    "Pipeline",
    "SlicedDetector",
    "Tracker",
    "__version__",
    "draw_detections",
    "evaluate",
    "open_source",
    "read_dataset",
    "read_image",
    "write_image",
}


def test_the_public_names() -> None:
    assert set(vars(tinydet)["__all__"]) == PUBLIC
    assert set(dir(tinydet)) >= PUBLIC
    exported: dict[str, object] = {}
    exec("from tinydet import *", exported)
    assert set(exported) >= PUBLIC


def test_type_checkers_see_what_is_loaded() -> None:
    imports = re.findall(
        r"^    from tinydet\.(\S+) import (\w+) as \2$", Path(tinydet.__file__).read_text(), re.MULTILINE
    )
    assert {name: module for module, name in imports} == vars(tinydet)["_MODULES"]


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_a_public_name_is_documented(name: str) -> None:
    public = getattr(tinydet, name)
    assert inspect.getdoc(public)
    assert public.__name__ == name


def test_the_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", tinydet.__version__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Detektor"):
        tinydet.Detektor  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_nothing_of_others() -> None:
    script = """import json, sys
before = set(sys.modules)
import tinydet
print(json.dumps(sorted(set(sys.modules) - before)))"""
    process = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert [name for name in json.loads(process.stdout) if name.partition(".")[0] not in sys.stdlib_module_names] == [
        "tinydet"
    ]
