"""Every line of the README, in turn, in a fresh environment that holds only what the lines before installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.conftest import pip
from tests.house.readme import Step, steps
from tests.paths import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

#: What a line gets besides what is written there, so that hours become minutes.
SHORTER = {
    "tinydet train": ["--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=2", "--set", "schedule.batch=2"],
    "tinydet profile": ["--seconds", "1"],
    "tinydet quantize": ["--allow-drop"],  # two steps of training make no detector
    "tinydet export": ["--allow-drop"],
}
#: Needs the internet: without it, it must say so in one line; the data then comes from beside the repository.
FROM_THE_INTERNET = "tinydet data fetch"
PHOTOGRAPHS = REPOSITORY.parent / "shared" / "data"


def environment_of(binaries: Path) -> Mapping[str, str]:
    """Nothing of the caller's Python environment leaks in; versions are those of constraints.txt."""
    leaking = ("PYTHON", "VIRTUAL_ENV")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(leaking)}
    return clean | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PIP_CONSTRAINT": str(REPOSITORY / "constraints.txt"),
    }


def walk(todo: list[Step], binaries: Path, folder: Path) -> None:
    """Type the lines in `folder`, one after the other; each has to end well."""
    environment = environment_of(binaries)
    for step in todo:
        command: list[str | Path]
        if step.language == "python":
            command = [binaries / "python", "-c", step.text]
        else:
            more = next((extra for start, extra in SHORTER.items() if step.text.startswith(start)), [])
            command = ["sh", "-c", " ".join([step.text, *more])]
        process = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if step.text.startswith(FROM_THE_INTERNET) and process.returncode == 2:
            (line,) = (line for line in process.stderr.splitlines() if line.startswith("error: "))
            assert "--from" in line, line
            continue
        assert process.returncode == 0, f"{step.text}\n{process.stdout}\n{process.stderr}"


def copy_of_the_tree(folder: Path) -> None:
    """What `git clone` of this tree would give, with what is not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        source, target = REPOSITORY / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def lines_between(first: str, last: str) -> list[Step]:
    """From the step that starts with `first` up to the one before `last`."""
    found = steps()
    (begin,) = (index for index, step in enumerate(found) if step.text.startswith(first))
    (end,) = (index for index, step in enumerate(found) if step.text.startswith(last))
    assert begin < end
    return found[begin:end]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with photographs beside it, as on the machines of this project, and the video the README names."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a checkout: the README's commands start from one")
    folder = tmp_path_factory.mktemp("clone") / "tinydet"
    copy_of_the_tree(folder)
    if PHOTOGRAPHS.is_dir():
        (folder.parent / "shared").symlink_to(PHOTOGRAPHS.parent)
    return folder


def test_the_two_commands_come_first() -> None:
    assert [step.text for step in steps()[:2]] == ["make demo", "make test"]


def test_workstation(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not PHOTOGRAPHS.is_dir():
        pytest.skip(f"no photographs in {PHOTOGRAPHS} to train on")
    folder = tmp_path_factory.mktemp("workstation") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    binaries = folder / "bin"
    install, *use = lines_between("pip install '.[convert]'", "tinydet doctor")
    walk([install, *(step for step in use if not step.text.startswith("pip"))], binaries, clone)
    clip = ["tinydet data render --clip 20 --seed 9003 --out clip", "mv clip/clip.mp4 flight.mp4"]
    walk([Step("shell", line) for line in clip], binaries, clone)
    walk([step for step in steps() if step.language == "python"], binaries, clone)
    first = next(index for index, step in enumerate(steps()) if step.text.startswith(FROM_THE_INTERNET))
    walk(steps()[first:], binaries, clone)


def test_board(clone: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the wheel, in a folder that holds nothing but an artifact and images."""
    artifact = clone / "artifacts" / "n-640px-int8.onnx"
    if not artifact.exists():
        pytest.skip("the workstation's lines made no artifact")
    folder = tmp_path_factory.mktemp("board")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    binaries = folder / "venv" / "bin"
    shutil.copytree(clone / "artifacts", folder / "artifacts")
    shutil.copytree(clone / "scenes", folder / "scenes")
    pip(binaries / "python", "install", "--constraint", REPOSITORY / "constraints.txt", f"{wheel}[onnxruntime]")
    lines = lines_between("tinydet doctor", "from tinydet import")
    doctor, *use = lines
    assert doctor.text == "tinydet doctor"
    seen = subprocess.run([binaries / "tinydet", "doctor"], cwd=folder, capture_output=True, text=True, check=False)
    assert seen.returncode in (0, 1), seen.stderr  # 1: this machine's preferred runtime is another one
    walk(use, binaries, folder)


def test_demo(clone: Path, tmp_path: Path) -> None:
    """`make demo` in a fresh clone installs all it needs. `make test` is the run that this test belongs to."""
    walk([Step("shell", "make demo")], tmp_path, clone)
    assert (clone / "runs" / "demo" / "profile.json").is_file()
