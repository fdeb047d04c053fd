"""Training that is killed at random moments and resumed gives the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_tensors, save_detector, save_tensors
from tinydet.training.data.fingerprint import fingerprint
from tinydet.training.engine.initial_weights import initial_model
from tinydet.training.engine.state import STATE_SCHEMA, check_same_recipe
from tinydet.training.engine.trainer import BEST_FILE, LAST_FILE, STATE_FILE, Trainer
from tinydet.training.model import build_detector, model_config
from tinydet.training.recipes.recipe import read_recipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def train(recipe: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tinydet", "train", str(recipe), "--out", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def same_tensors(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_killed_at_random_and_resumed_gives_the_same_weights(tmp_path: Path, data: Path) -> None:
    """Three kills; TINYDET_KILLS=20 for twenty. Every state on the way is whole, and no temporary file stays."""
    wanted = int(os.environ.get("TINYDET_KILLS", "3"))
    recipe = write_recipe(tmp_path, data)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ["--set", f"schedule.epochs={wanted + 2}"]
    assert train(recipe, whole, *more).wait(300) == 0

    kills, moments = 0, random.Random(0)
    while True:
        before = (broken / STATE_FILE).stat().st_mtime_ns if (broken / STATE_FILE).exists() else 0
        process = train(recipe, broken, *more, *(["--resume"] if before else []))
        # Let it get past its next saved state, then strike anywhere in the epoch that follows.
        while process.poll() is None and kills < wanted:
            if (broken / STATE_FILE).exists() and (broken / STATE_FILE).stat().st_mtime_ns != before:
                time.sleep(moments.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        if process.wait(300) == 0:
            break
        kills += 1
        for name in (STATE_FILE, LAST_FILE, BEST_FILE):
            load_tensors(broken / name)
    assert kills >= 1

    for name in (LAST_FILE, STATE_FILE):
        expected, expected_metadata = load_tensors(whole / name)
        got, metadata = load_tensors(broken / name)
        assert same_tensors(expected, got), name
        assert metadata == expected_metadata
    assert (whole / "metrics.csv").read_text() == (broken / "metrics.csv").read_text()
    assert sorted(path.name for path in broken.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_workers_do_not_change_the_samples(tmp_path: Path, data: Path) -> None:
    results = []
    for workers in (0, 2):
        out = tmp_path / f"workers{workers}"
        recipe = write_recipe(tmp_path, data, workers=workers)
        assert main(["train", str(recipe), "--out", str(out), "--set", "schedule.epochs=1"]) in (0, None)
        results.append(load_tensors(out / LAST_FILE)[0])
    assert same_tensors(*results)


def test_a_run_is_not_overwritten_and_another_recipe_does_not_resume_it(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = write_recipe(tmp_path, data), tmp_path / "run"
    short = ["--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=1"]
    assert main(["train", str(recipe), "--out", str(out), *short]) in (0, None)
    before = (out / STATE_FILE).read_bytes()
    capsys.readouterr()
    for options, message in (
        (short, "add --resume to continue"),
        ([*short, "--resume", "--set", "schedule.batch=3"], "a recipe with other schedule.batch"),
    ):
        assert main(["train", str(recipe), "--out", str(out), *options]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert main(["train", str(recipe), "--out", str(tmp_path / "none"), "--resume"]) == 2
    assert not (tmp_path / "none").exists()
    assert (out / STATE_FILE).read_bytes() == before


def test_without_a_common_class_both_lists_are_named(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, data)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), "--set", 'data.classes=["ship"]']) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "ship" in error and "small-vehicle" in error
    assert not (tmp_path / "run").exists()


def test_fine_tuning_to_other_classes_keeps_weights_by_class_name(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    started = build_detector(model_config("n", ("person", "small-vehicle")))
    checkpoint = tmp_path / "started.safetensors"
    save_detector(checkpoint, started, input_px=64, training={})
    options = [f"model.weights={checkpoint}", 'data.classes=["small-vehicle", "ship"]']
    model = initial_model(read_recipe(write_recipe(tmp_path, data), overrides=options))
    for head, started_head in zip(model.heads, started.heads, strict=True):
        logits, started_logits = head.get_submodule("class_logits"), started_head.get_submodule("class_logits")
        weight, started_weight = logits.get_parameter("weight"), started_logits.get_parameter("weight")
        assert torch.equal(weight[0], started_weight[1])
        assert not torch.equal(weight[1], started_weight[0])
    assert torch.equal(model.state_dict()["neck.cem.gate.weight"], started.state_dict()["neck.cem.gate.weight"])

    with pytest.raises(InputError, match="has another architecture: fbsm \\(recipe off, checkpoint gate\\)"):
        initial_model(read_recipe(write_recipe(tmp_path, data), overrides=[*options, "model.fbsm=false"]))
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(InputError, match="is damaged"):
        initial_model(read_recipe(write_recipe(tmp_path, data), overrides=options))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named_in_one_line(
    tmp_path: Path, data: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    image = data / "train" / "3.png"
    image.write_bytes(image.read_bytes()[:200])
    recipe, out = write_recipe(tmp_path, data, workers=workers), tmp_path / "run"
    assert main(["train", str(recipe), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "3.png" in " ".join(error.split("error:")[1].split())
    assert not out.exists()


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"state\.safetensors is not a training state of this version: start a new run"
    ):
        check_same_recipe({"state": STATE_SCHEMA - 1, "recipe": {}}, {}, source="state.safetensors")


@pytest.mark.parametrize(("dcloss", "balance"), [(True, "band"), (False, "none")])
def test_a_state_with_the_dcloss_of_earlier_versions_resumes(
    *, dcloss: bool, balance: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = ("--set", f"loss.balance={balance}")
    assert train_once(tmp_path, data, *setting) == 0
    path = tmp_path / "run" / STATE_FILE
    tensors, metadata = load_tensors(path)
    del metadata["recipe"]["loss"]["balance"]
    metadata["recipe"]["loss"]["dcloss"] = dcloss
    save_tensors(path, tensors, metadata)
    more = ("--resume", "--set", "schedule.epochs=2")
    assert train_once(tmp_path, data, *more) == 2
    assert "a recipe with other loss.balance" in " ".join(capsys.readouterr().err.split())
    old_setting = ("--set", f"loss.dcloss={str(dcloss).lower()}")
    assert train_once(tmp_path, data, *more, *old_setting) == 0


def train_once(tmp_path: Path, data: Path, *options: str) -> int:
    """One step into `run`."""
    recipe = write_recipe(tmp_path, data)
    short = ["--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=1"]
    return main(["train", str(recipe), "--out", str(tmp_path / "run"), *short, *options]) or 0


def test_more_epochs_continue_a_run_and_fewer_do_not(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_once(tmp_path, data, "--set", "schedule.epochs=2") == 0
    assert train_once(tmp_path, data, "--resume") == 2
    assert "a recipe with other schedule.epochs" in " ".join(capsys.readouterr().err.split())
    assert train_once(tmp_path, data, "--resume", "--set", "schedule.epochs=3") == 0
    assert "3 epochs instead of 2: the learning rate follows" in " ".join(capsys.readouterr().err.split())
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("change", ["box", "image"])
def test_data_that_changed_since_are_refused_unless_allowed(
    change: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_once(tmp_path, data) == 0
    before = (tmp_path / "run" / STATE_FILE).read_bytes()
    if change == "box":
        labels = data / "annotations" / "val.json"
        labels.write_text(labels.read_text().replace(", 14, 8]", ", 15, 8]", 1))
    else:
        image = data / "val" / "3.png"
        image.write_bytes(image.read_bytes() + b"\0")
    more = ("--resume", "--set", "schedule.epochs=2")
    capsys.readouterr()
    assert train_once(tmp_path, data, *more) == 2
    assert "the images or labels of val changed since epoch 1: restore" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "run" / STATE_FILE).read_bytes() == before
    assert train_once(tmp_path, data, *more, "--allow-changed-data") == 0
    assert train_once(tmp_path, data, "--allow-changed-data") == 2


def test_a_data_set_that_moved_has_not_changed(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data, tmp_path / "moved")
    splits = [read_dataset(folder, split="val") for folder in (data, tmp_path / "moved")]
    assert fingerprint(splits[:1]) == fingerprint(splits[1:])


BAD_METADATA = {
    "no epoch": {"epoch": None}, "epoch as text": {"epoch": "1"}, "another epoch": {"epoch": 7},
    "no history": {"history": []}, "rows as lists": {"history": [[1]]}, "no AP": {"history": [{"epoch": 1}]},
    "AP as text": {"history": [{"epoch": 1, "AP": "0.5"}]},
    "recipe as text": {"recipe": "x"}, "table as text": {"recipe": {"model": "n"}}, "unknown field": {"extra": 1},
    "data as number": {"data": {"val": 1}}, "state as text": {"state": "2"},
}  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor], dict[str, Any]]:
    """Folder of a run of one step, with what its state holds."""
    folder = tmp_path_factory.mktemp("state")
    assert train_once(folder, write_data(folder / "data")) == 0
    return folder, *load_tensors(folder / "run" / STATE_FILE)


def refusal(folder: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> str:
    """The error of resuming a run from this state."""
    recipe = write_recipe(folder, folder / "data")
    overrides = ["schedule.epochs=1", "schedule.steps_per_epoch=1"]
    save_tensors(folder / "run" / STATE_FILE, tensors, metadata)
    with pytest.raises(InputError) as caught:
        Trainer(read_recipe(recipe, overrides=overrides), folder / "run", resume=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", BAD_METADATA)
def test_states_with_wrong_fields_are_refused(name: str, state: tuple[Path, Any, Any]) -> None:
    folder, tensors, metadata = state
    changed = {key: value for key, value in (metadata | BAD_METADATA[name]).items() if value is not None}
    assert "new run in another --out folder" in refusal(folder, tensors, changed)


@pytest.mark.parametrize("part", ["model/", "average/", "optimizer/", "loss/"])
@pytest.mark.parametrize("kind", ["missing", "one missing", "not finite", "other shape", "other dtype", "one more"])
def test_states_with_wrong_tensors_are_refused(kind: str, part: str, state: tuple[Path, Any, Any]) -> None:
    folder, tensors, metadata = state
    name = next(name for name in tensors if name.startswith(part) and tensors[name].is_floating_point())
    value = tensors[name]
    changed = {
        "missing": {key: tensor for key, tensor in tensors.items() if not key.startswith(part)},
        "one missing": {key: tensor for key, tensor in tensors.items() if key != name},
        "not finite": tensors | {name: torch.full_like(value, torch.nan)},
        "other shape": tensors | {name: torch.zeros(3, 7)},
        "other dtype": tensors | {name: value.to(torch.int16)},
        "one more": tensors | {f"{part}9999.more": torch.zeros(1)},
    }[kind]
    refusal(folder, changed, metadata)


def test_another_part_optimizer_and_accuracy_are_refused(state: tuple[Path, Any, Any]) -> None:
    folder, tensors, metadata = state
    history = [metadata["history"][0] | {"AP": 2.0}]
    assert "AP of epoch 1: expected 0 to 1, got 2.0" in refusal(folder, tensors, metadata | {"history": history})
    assert "unexpected tensor 'other/x'" in refusal(folder, tensors | {"other/x": torch.zeros(1)}, metadata)
    sgd = {name.replace("exp_avg_sq", "momentum_buffer"): tensor for name, tensor in tensors.items()}
    assert "exp_avg_sq: expected" in refusal(folder, sgd, metadata)


def test_a_state_from_before_new_recipe_fields_is_resumed(tmp_path: Path, data: Path) -> None:
    path = write_recipe(tmp_path, data)
    before = json.loads(json.dumps(read_recipe(path).as_dict()))
    del before["data"]["map"], before["data"]["ignore"]
    state = {"state": STATE_SCHEMA, "epoch": 1, "recipe": before, "history": [{"epoch": 1, "AP": 0.5}]}
    check_same_recipe(state, read_recipe(path).as_dict(), source="state")
    mapped = read_recipe(path, overrides=["data.map.car=small-vehicle"])
    with pytest.raises(InputError, match=r"state was written by a recipe with other data\.map: resume with"):
        check_same_recipe(state, mapped.as_dict(), source="state")
