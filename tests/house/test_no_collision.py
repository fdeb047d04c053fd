"""A user's folder with packages and modules of our folders' names: theirs stay theirs, ours still work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.house.conftest import BoardInstall, pip
from tests.models import write_spot_detector
from tests.unit.edge.datasets.coco_files import annotation, write_coco
from tinydet.edge.files.images import write_image

pytestmark = pytest.mark.slow

THEIRS = ("edge", "training", "quantization", "converters", "boards", "tests")
MODULES = ("statistics", "artifact", "runtime", "sources", "commands", "detector")


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """Their own packages, which say so when they are imported, an artifact, images, and a test."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'user'\n")
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text("OWNER = 'user'\n")
    (tmp_path / "test_theirs.py").write_text(
        "import boards, converters, edge, quantization, statistics, training\n\n\n"
        "def test_theirs():\n"
        "    assert {edge.OWNER, training.OWNER, boards.OWNER, converters.OWNER, quantization.OWNER} == {'user'}\n"
        "    assert statistics.OWNER == 'user'\n"
        "    import tinydet\n"
        "    assert tinydet.Detector and tinydet.edge.__doc__\n"
    )
    (tmp_path / "script.py").write_text(
        "import edge\nfrom tinydet import Detector, read_image\n\n"
        "assert edge.OWNER == 'user'\n"
        "assert len(Detector('spots.onnx').detect(read_image('data/val/a.png'))) == 1\n"
    )
    write_spot_detector(tmp_path / "spots.onnx")
    spot = [{"id": 10, "file_name": "a.png", "width": 64, "height": 64}]
    marked = annotation(bbox=[18, 6, 8, 8])
    write_coco(tmp_path / "data", {"images": spot, "categories": [{"id": 3, "name": "spot"}], "annotations": [marked]})
    image_rgb = np.zeros((64, 64, 3), np.uint8)
    image_rgb[8:12, 20:24] = 255
    write_image(tmp_path / "data" / "val" / "a.png", image_rgb)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "python script.py",
        "python -m tinydet --help",
        "tinydet --help",
        "python -m tinydet detect spots.onnx data/val --jsonl out.jsonl",
        "tinydet detect spots.onnx data/val --save out",
        "python -m tinydet evaluate spots.onnx data",
        "tinydet evaluate spots.onnx data",
        "tinydet profile spots.onnx --data data --seconds 0.2 --report report.html --json profile.json",
        "python -m tinydet profile spots.onnx --seconds 0.2",
        "tinydet compare profile.json profile.json",
        "tinydet recommend profile.json",
        "tinydet recipes",
        "tinydet data fetch --help",
    ],
)
def test_every_command_works_there(board_install: BoardInstall, users_folder: Path, command: str) -> None:
    name, *arguments = command.split()
    if name == "tinydet" and arguments[0] in ("compare", "recommend"):
        profile = ["profile", "spots.onnx", "--seconds", "0.2", "--json", "profile.json"]
        made = board_install.run("tinydet", *profile, cwd=users_folder)
        assert made.returncode == 0, made.stderr
    process = board_install.run(name, *arguments, cwd=users_folder)
    assert process.returncode == 0, process.stderr


def test_doctor_works_there(board_install: BoardInstall, users_folder: Path) -> None:
    process = board_install.run("tinydet", "doctor", "--json", cwd=users_folder)
    assert process.returncode in (0, 1), process.stderr  # 1: this machine's preferred runtime is not installed
    assert '"onnxruntime"' in process.stdout


def test_plain_pytest_sees_the_users_packages(board_install: BoardInstall, users_folder: Path) -> None:
    pip(board_install.binaries / "python", "install", "pytest")
    process = board_install.run("pytest", "-q", cwd=users_folder)
    assert process.returncode == 0, process.stdout + process.stderr
