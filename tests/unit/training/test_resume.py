"""Training that is killed at random moments and resumed gives the same weights, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_tensors, save_detector
from tinydet.training.engine.initial_weights import initial_model
from tinydet.training.engine.state import STATE_SCHEMA, check_same_recipe
from tinydet.training.engine.trainer import LAST_FILE, STATE_FILE
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
    recipe = write_recipe(tmp_path, data)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(recipe, whole).wait(300) == 0

    kills, moments = 0, random.Random(0)
    while True:
        before = (broken / STATE_FILE).stat().st_mtime_ns if (broken / STATE_FILE).exists() else 0
        process = train(recipe, broken, *(["--resume"] if before else []))
        # Let it get past its next saved state, then strike anywhere in what follows.
        while process.poll() is None and kills < 3:
            if (broken / STATE_FILE).exists() and (broken / STATE_FILE).stat().st_mtime_ns != before:
                time.sleep(moments.uniform(0, 0.6))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        if process.wait(300) == 0:
            break
        kills += 1
    assert kills >= 1

    for name in (LAST_FILE, STATE_FILE):
        expected, expected_metadata = load_tensors(whole / name)
        got, metadata = load_tensors(broken / name)
        assert same_tensors(expected, got), name
        assert metadata == expected_metadata
    assert (whole / "metrics.csv").read_text() == (broken / "metrics.csv").read_text()
    assert not list(broken.glob(".*partial*")) or kills  # a partial file may lie there, never in place of a whole one


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

    with pytest.raises(InputError, match="has another architecture: fbsm \\(recipe False, checkpoint True\\)"):
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


def test_a_state_from_before_new_recipe_fields_is_resumed(tmp_path: Path, data: Path) -> None:
    path = write_recipe(tmp_path, data)
    before = json.loads(json.dumps(read_recipe(path).as_dict()))
    del before["data"]["map"], before["data"]["ignore"]
    state = {"state": STATE_SCHEMA, "recipe": before}
    check_same_recipe(state, read_recipe(path).as_dict(), source="state")
    mapped = read_recipe(path, overrides=["data.map.car=small-vehicle"])
    with pytest.raises(InputError, match=r"state was written by a recipe with other data\.map: resume with"):
        check_same_recipe(state, mapped.as_dict(), source="state")
