"""The wheel holds one package with everything but the weights, works without torch, and names a missing extra."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.house.conftest import BoardInstall
from tests.house.rules import ALLOWED_ARROWS
from tests.models import write_spot_detector
from tests.paths import REPOSITORY
from tinydet.edge.files.images import write_image

pytestmark = pytest.mark.slow


def test_wheel_holds_every_file_of_the_packages_but_the_weights(wheel: Path, weights_wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {"tinydet/__init__.py", "tinydet/__main__.py", "tinydet/py.typed"} | {
        f"tinydet/{path.relative_to(REPOSITORY).as_posix()}"
        for folder in ALLOWED_ARROWS
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    weights = set(zipfile.ZipFile(weights_wheel).namelist())
    assert names == expected - weights - {"tinydet/training/weights/pyproject.toml"}


def test_weights_are_a_wheel_of_their_own(weights_wheel: Path) -> None:
    with zipfile.ZipFile(weights_wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"tinydet/training/weights/{size}.safetensors" for size in ("n", "s", "fused0")}


def test_a_bundled_model_without_the_weights_names_their_package(board_install: BoardInstall, tmp_path: Path) -> None:
    process = board_install.run("tinydet", "profile", "n", cwd=tmp_path)
    assert process.returncode == 2, process.stderr
    assert "pip install tinydet-weights" in process.stderr


def test_wheel_carries_its_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith("/LICENSE") for name in archive.namelist())


def test_board_install_holds_no_torch(board_install: BoardInstall, tmp_path: Path) -> None:
    process = board_install.run("python", "-c", "import torch", cwd=tmp_path)
    assert "ModuleNotFoundError" in process.stderr


@pytest.mark.parametrize("command", ["detect", "evaluate", "profile", "doctor"])
def test_board_commands_explain_themselves_without_torch(
    board_install: BoardInstall, tmp_path: Path, command: str
) -> None:
    overview = board_install.run("tinydet", "--help", cwd=tmp_path)
    assert overview.returncode == 0, overview.stderr
    assert command in overview.stdout
    details = board_install.run("tinydet", command, "--help", cwd=tmp_path)
    assert details.returncode == 0, details.stderr
    assert f"tinydet {command}" in details.stdout


def test_training_without_torch_names_the_extra(board_install: BoardInstall, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    process = board_install.run("tinydet", "train", recipe, cwd=tmp_path)
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert "pip install 'tinydet[training]'" in line
    assert process.stdout == ""


def test_an_artifact_detects_without_torch(board_install: BoardInstall, tmp_path: Path) -> None:
    image_rgb = np.zeros((64, 64, 3), np.uint8)
    image_rgb[8:12, 20:24] = 255
    write_image(tmp_path / "spot.png", image_rgb)
    artifact = write_spot_detector(tmp_path / "spots-64px-fp32.onnx")
    process = board_install.run("tinydet", "detect", artifact, "spot.png", "--jsonl", "found.jsonl", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    (frame,) = map(json.loads, (tmp_path / "found.jsonl").read_text().splitlines())
    assert len(frame["detections"]) == 1


def test_doctor_tells_which_runtime_works_and_which_is_missing(board_install: BoardInstall, tmp_path: Path) -> None:
    process = board_install.run("tinydet", "doctor", "--json", cwd=tmp_path)
    said = json.loads(process.stdout)
    checks = {check["name"]: check for check in said["checks"]}
    assert checks["onnxruntime"]["state"] == "ok", checks["onnxruntime"]["seen"]
    preferred = next(check for check in said["checks"] if check["part"] == "runtime")
    assert (preferred["state"], process.returncode) == ("missing", 1)
    assert preferred["fix"].startswith(("pip install", "sudo apt install"))
