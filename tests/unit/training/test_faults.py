"""Errors of a run end it with one line and keep the last saved state."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.images import read_image
from tinydet.training.checkpoint import load_detector, load_tensors, save_detector
from tinydet.training.engine.state import first_not_finite
from tinydet.training.engine.trainer import BAD_BATCH_FILE, BEST_FILE, LAST_FILE, STATE_FILE, Trainer
from tinydet.training.model import build_detector, model_config
from tinydet.training.recipes.recipe import read_recipe

MIB = 1 << 20


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("error:") == 1
    return " ".join(text.split("error:")[1].split())


def test_a_loss_that_is_not_finite_ends_the_run_and_names_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    recipe, out = write_recipe(tmp_path, data), tmp_path / "run"
    assert main(["train", str(recipe), "--out", str(out), "--set", "schedule.epochs=1"]) == 0
    good = {name: (out / name).read_bytes() for name in (STATE_FILE, BEST_FILE, LAST_FILE)}

    started = load_detector(out / LAST_FILE).model
    with torch.no_grad():
        next(started.parameters()).fill_(3e38)  # finite, but no sum of them is
    broken = tmp_path / "broken.safetensors"
    save_detector(broken, started, input_px=64, training={})
    capsys.readouterr()
    assert main(["train", str(recipe), "--out", str(tmp_path / "next"), "--set", f"model.weights={broken}"]) == 2
    message = error_of(capsys)
    assert "the loss is not finite at step 0 (gradient_norm is nan): check the labels of the images in" in message
    content = json.loads((tmp_path / "next" / BAD_BATCH_FILE).read_text())
    assert (content["step"], len(content["images"])) == (0, 2)
    assert all(Path(name).is_file() for names in content["images"] for name in names)
    assert {name: (out / name).read_bytes() for name in good} == good


def test_a_gradient_that_is_not_finite_ends_the_run_before_the_weights_change(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    trainer = Trainer(read_recipe(write_recipe(tmp_path, data)), tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in trainer.learner.model.named_parameters()}
    first = next(trainer.learner.model.parameters())
    first.register_hook(lambda gradient: gradient * torch.inf)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    with pytest.raises(InputError, match=r"not finite at step 0 \(gradient_norm is (nan|inf)\)"):
        trainer.run()
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.learner.model.named_parameters())


@pytest.mark.parametrize("poisoned", ["weight", "statistics", "average", "optimizer", "loss"])
def test_nothing_that_is_not_finite_is_ever_written(poisoned: str, tmp_path: Path) -> None:
    """Also where it goes wrong in the last step of an epoch, after its loss and its gradients were sound."""
    data = write_data(tmp_path / "data")
    recipe = read_recipe(write_recipe(tmp_path, data), overrides=["schedule.epochs=2", "schedule.steps_per_epoch=2"])
    trainer = Trainer(recipe, tmp_path / "run")
    learner, steps = trainer.learner, [0]

    def poison(*_: object) -> None:
        steps[0] += 1
        if steps[0] == 4:
            parameter = next(learner.model.parameters())
            target = {
                "weight": parameter,
                "statistics": next(learner.model.buffers()),
                "average": next(learner.average.parameters()),
                "optimizer": learner.optimizer.state[parameter]["exp_avg_sq"],
                "loss": next(learner.loss.buffers()),
            }[poisoned]
            with torch.no_grad():
                target.fill_(torch.inf)

    learner.optimizer.register_step_post_hook(poison)
    with pytest.raises(InputError, match=r"not finite after step 3 \(.*the run is saved up to epoch 1"):
        trainer.run()
    for name in (STATE_FILE, BEST_FILE, LAST_FILE):
        assert first_not_finite(load_tensors(tmp_path / "run" / name)[0]) is None
    resumed = Trainer(recipe, tmp_path / "run", resume=True)
    assert resumed.epoch == 1
    assert resumed.run()["epoch"] in (1, 2)


def test_a_run_that_diverges_in_its_only_step_writes_no_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = write_recipe(tmp_path, write_data(tmp_path / "data")), tmp_path / "run"
    for setting in ("optimizer.weight_decay=nan", "optimizer.learning_rate=inf", "optimizer.weight_decay=1e38"):
        options = ["--set", setting, "--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=1"]
        assert main(["train", str(recipe), "--out", str(out), *options]) == 2
        assert setting.partition("=")[0] in error_of(capsys)
    assert not out.exists()


def test_two_runs_into_one_folder_the_second_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out = write_recipe(tmp_path, write_data(tmp_path / "data")), tmp_path / "run"
    one = ["--set", "schedule.epochs=1", "--set", "schedule.steps_per_epoch=1"]
    settings = read_recipe(recipe, overrides=one[1::2])
    late = Trainer(settings, out)  # has looked into the folder before the other run wrote
    with locked_folder(out):
        assert main(["train", str(recipe), "--out", str(out), *one]) == 2
        assert "another run writes into" in error_of(capsys)
    assert not list(out.iterdir())
    assert main(["train", str(recipe), "--out", str(out), *one]) == 0
    with pytest.raises(InputError, match="another run wrote into"):
        late.run()


def test_a_refused_run_writes_no_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    recipe, out = write_recipe(tmp_path, write_data(tmp_path / "data")), tmp_path / "run"
    command = ["train", str(recipe), "--out", str(out), "--tensorboard", "--set", "schedule.epochs=1"]
    with locked_folder(out):
        assert main(command) == 2
    assert "another run writes into" in error_of(capsys)
    assert not list(out.iterdir())
    assert main(command) == 0
    (events,) = out.glob("events.out.tfevents.*")
    assert b"loss_total" in events.read_bytes()


def test_training_images_without_any_object_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data")
    path = data / "annotations" / "train.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    assert main(["train", str(write_recipe(tmp_path, data)), "--out", str(tmp_path / "run")]) == 2
    assert "no object of small-vehicle to train on" in error_of(capsys)


def test_a_val_set_without_objects_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data")
    path = data / "annotations" / "val.json"
    path.write_text(path.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))
    assert main(["train", str(write_recipe(tmp_path, data)), "--out", str(tmp_path / "run")]) == 2
    assert "has no object of small-vehicle to validate with" in error_of(capsys)


def train_command(recipe: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "tinydet", "train", str(recipe), "--out", str(out), *options]


def run_limited(recipe: Path, out: Path, *options: str, limit: int, bytes_: int) -> subprocess.CompletedProcess[str]:
    """Train in a process that may not go over a limit of the system."""
    return subprocess.run(
        train_command(recipe, out, *options),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(limit, (bytes_, bytes_)),
    )


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_files(tmp_path: Path) -> None:
    """The system refuses to let any file grow over 8 MB, which is less than a checkpoint has."""
    recipe, out = write_recipe(tmp_path, write_data(tmp_path / "data")), tmp_path / "run"
    process = subprocess.Popen(train_command(recipe, out), stderr=subprocess.DEVNULL)
    while not (out / STATE_FILE).exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = {path.name: path.read_bytes() for path in out.iterdir() if "partial" not in path.name}
    assert len(before[STATE_FILE]) > 8 * MIB
    done = run_limited(recipe, out, "--resume", limit=resource.RLIMIT_FSIZE, bytes_=8 * MIB)
    assert done.returncode == 2, done.stderr
    assert "an older file of that name is kept" in " ".join(done.stderr.split())
    assert {name: (out / name).read_bytes() for name in before} == before
    assert main(["train", str(recipe), "--out", str(out), "--resume"]) == 0, "with space again the run continues"


@pytest.mark.slow
def test_out_of_memory_names_the_batch_to_try(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    options = ["--set", "schedule.batch=256", "--set", "data.crop_px=640"]
    done = run_limited(recipe, tmp_path / "run", *options, limit=resource.RLIMIT_AS, bytes_=10240 * MIB)
    assert done.returncode == 2, done.stderr
    assert "out of memory on the CPU with 256 images a process: try --set schedule.batch=128" in " ".join(
        done.stderr.split()
    )


@pytest.mark.parametrize(
    ("size", "classes", "field"), [("s", ("small-vehicle",), "size (recipe n, checkpoint s)"), ("n", ("bus",), None)]
)
def test_a_checkpoint_of_another_architecture_names_the_differing_field(
    size: str, classes: tuple[str, ...], field: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another size cannot be started from; other classes can: what both know carries over."""
    path = tmp_path / "start.safetensors"
    save_detector(path, build_detector(model_config(size, classes)), input_px=64, training={})
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    options = ["--set", f"model.weights={path}", "--set", "schedule.epochs=1"]
    code = main(["train", str(recipe), "--out", str(tmp_path / "run"), *options])
    if field is None:
        assert code == 0
    else:
        assert code == 2
        assert field in error_of(capsys)


def test_splits_with_other_class_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data")
    path = data / "annotations" / "val.json"
    path.write_text(path.read_text().replace("small-vehicle", "car"))
    assert main(["train", str(write_recipe(tmp_path, data)), "--out", str(tmp_path / "run")]) == 2
    message = error_of(capsys)
    assert "class names differ between train and val (car, small-vehicle)" in message
    assert not (tmp_path / "run").exists()


def test_grey_and_sixteen_bit_images_train(tmp_path: Path) -> None:
    """The same scenes as an infrared camera writes them: one channel, 16 bits, a narrow range."""
    data = write_data(tmp_path / "data")
    for path in [*(data / "train").glob("*.png"), *(data / "val").glob("*.png")]:
        cv2.imwrite(str(path), read_image(path)[..., 0].astype("uint16") * 8 + 29000)
    recipe = read_recipe(write_recipe(tmp_path, data), overrides=["schedule.epochs=1"])
    trainer = Trainer(recipe, tmp_path / "run")
    sample = trainer.crops[0]
    assert sample.image_rgb.max() > 200 and sample.image_rgb.min() < 60
    assert trainer.run()["loss_total"] > 0
