"""`tinydet distill`: the student nears its teacher, broken runs continue bit for bit, bad input is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.small_run import write_data
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_tensors, save_tensors
from tinydet.training.data.image_crops import ImageCrops
from tinydet.training.data.scenes import render_scene
from tinydet.training.engine.distillation import BACKBONE_FILE, STATE_FILE, Distiller, Progress
from tinydet.training.engine.pretrained import load_pretrained
from tinydet.training.model.efficientnet_lite import EfficientNetLite, load_imagenet
from tinydet.training.model.fused_lite import FusedLite
from tinydet.training.recipes import find_recipe
from tinydet.training.recipes.distillation_recipe import read_distillation_recipe

SMALL = ("crop_px=64", "workers=0")
SHORT = ("epochs=2", "steps_per_epoch=4", "batch=2", "warmup_steps=1")


def settings(data: Path, *more: str) -> list[str]:
    folders = [f'data.train=["{data}"]', f'data.val=["{data}"]']
    return [*folders, *(f"data.{field}" for field in SMALL), *(f"schedule.{field}" for field in SHORT), *more]


def distiller(folder: Path, *more: str, resume: bool = False) -> Distiller:
    data = folder / "data"
    if not data.exists():
        write_data(data)
    recipe = read_distillation_recipe(find_recipe("fused0"), overrides=settings(data, *more))
    return Distiller(recipe, folder / "run", resume=resume)


def test_the_student_nears_its_teacher(tmp_path: Path) -> None:
    run = distiller(tmp_path, "schedule.epochs=3", "schedule.steps_per_epoch=12", "data.crop_px=128")
    run.run()
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert run.history[2]["loss"] < 0.9 * run.history[0]["loss"]
    backbone = FusedLite()
    load_pretrained(backbone, "fused0", tmp_path / "run" / BACKBONE_FILE)
    assert torch.equal(backbone.stem.conv.weight, run.average.stem.conv.weight)


def test_a_broken_run_continues_bit_for_bit(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 6:  # in the second epoch
            raise KeyboardInterrupt

    distiller(tmp_path).run()
    whole, _ = load_tensors(tmp_path / "run" / STATE_FILE)
    (tmp_path / "run").rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distiller(tmp_path).run(stop)
    distiller(tmp_path, resume=True).run()
    continued, _ = load_tensors(tmp_path / "run" / STATE_FILE)
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)


def test_a_run_is_not_overwritten_and_goes_on_with_its_own_recipe_and_images_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        distiller(tmp_path, resume=True)
    distiller(tmp_path, "schedule.epochs=1").run()
    with pytest.raises(InputError, match="add --resume"):
        distiller(tmp_path)
    with pytest.raises(InputError, match=r"other data\.scale"):
        distiller(tmp_path, "schedule.epochs=1", "data.scale=[1.0, 1.5]", resume=True)
    image = tmp_path / "data" / "train" / "0.png"
    image.write_bytes((tmp_path / "data" / "train" / "1.png").read_bytes())
    with pytest.raises(InputError, match="images changed since epoch 1"):
        distiller(tmp_path, resume=True)


def test_a_run_that_another_one_overtook_is_refused(tmp_path: Path) -> None:
    first, second = distiller(tmp_path, "schedule.epochs=1"), distiller(tmp_path, "schedule.epochs=1")
    first.run()
    with pytest.raises(InputError, match="another run wrote into"):
        second.run()


def test_training_starts_from_the_distilled_backbone_and_refuses_it_for_another(tmp_path: Path) -> None:
    distiller(tmp_path, "schedule.epochs=1").run()
    weights = tmp_path / "run" / BACKBONE_FILE
    for name, backbone in (("lite0", EfficientNetLite("lite0")), ("lite2", EfficientNetLite("lite2"))):
        with pytest.raises(InputError, match=f"has weights of the backbone fused0, the recipe's is {name}"):
            load_pretrained(backbone, name, weights)


def test_the_stages_behind_stride_8_are_those_of_the_teacher() -> None:
    lite, fused = EfficientNetLite("lite0").eval(), FusedLite().eval()
    load_imagenet(lite, "lite0")
    fused.copy_top(lite)
    c3 = torch.rand(1, 40, 16, 16)
    with torch.inference_mode():
        assert torch.equal(fused.stages[2](c3), lite.stages[3](c3))
        shapes = [tuple(level.shape[1:]) for level in fused(torch.rand(1, 3, 128, 128))]
    assert shapes == [(24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 4, 4)]


def test_crops_are_the_same_for_the_same_index_and_val_has_no_augmentation(tmp_path: Path) -> None:
    run = distiller(tmp_path)
    again = ImageCrops(run.recipe.data, split="train", seed=0, length=16)
    assert all((run.crops[index].image_rgb == again[index].image_rgb).all() for index in range(4))
    assert len({sample.sources for sample in map(run.val.__getitem__, range(8))}) == 8  # each image once in a pass


def test_the_command_says_what_the_student_learned_and_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    command = ["distill", "fused0", "--out", str(tmp_path / "run")]
    for setting in settings(data, "schedule.epochs=1"):
        command += ["--set", setting]
    assert main(command) == 0
    output = "".join(capsys.readouterr())
    assert "the student explains: C2 " in output
    assert f"--set model.weights={tmp_path / 'run' / BACKBONE_FILE}" in output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.crop_px=100", "a multiple of 64"),
        ("data.scale=[2.0, 0.5]", r"data\.scale is \[smallest, largest\]"),
        ("model.teacher=lite9", "lite0"),
        ("data.cropp_px=64", "did you mean"),
    ],
)
def test_settings_are_checked(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        distiller(tmp_path, setting)


def test_imagenet_weights_of_fused0_are_in_the_weights_package() -> None:
    """They give the teacher's features on pictures that neither has seen: rendered scenes."""
    lite, fused = EfficientNetLite("lite0").eval(), FusedLite().eval()
    load_pretrained(lite, "lite0")
    load_pretrained(fused, "fused0")
    image = torch.from_numpy(render_scene(1, (256, 256)).image_rgb).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        for have, want, least in zip(fused(image), lite(image), (0.7, 0.6, 0.6, 0.3), strict=True):
            explained = 1 - (have - want).square().mean((0, 2, 3)) / want.var((0, 2, 3))
            assert float(explained.median()) > least


def change_state(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> None:
    """Write the state anew with a sound check sum."""
    tensors, metadata = load_tensors(path)
    change(tensors, metadata)
    save_tensors(path, tensors, metadata)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, metadata: tensors["student/stem.bn.running_var"].fill_(-1),
        lambda tensors, metadata: tensors["average/stem.bn.running_var"].fill_(-1),
        lambda tensors, metadata: tensors["optimizer/0.step"].fill_(-5),
        lambda tensors, metadata: tensors["optimizer/0.exp_avg_sq"].fill_(-1),
        lambda tensors, metadata: metadata.update(history=[{}]),
        lambda tensors, metadata: metadata.update(history=[{**metadata["history"][0], "val C2": -5.0}]),
        lambda tensors, metadata: metadata.update(history=metadata["history"] * 5),
        lambda tensors, metadata: metadata.update(epoch=5),
    ],
)
def test_a_state_that_makes_no_sense_is_refused_and_nothing_is_overwritten(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]
) -> None:
    distiller(tmp_path, "schedule.epochs=1").run()
    change_state(tmp_path / "run" / STATE_FILE, change)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(InputError, match=r"negative|expected|is not the one of epoch"):
        distiller(tmp_path, "schedule.epochs=6", resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_backbone_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / BACKBONE_FILE
    tensors = FusedLite().state_dict()
    tensors["stem.conv.weight"][0, 0, 0, 0] = value
    save_tensors(path, tensors, {"backbone": "fused0", "training": {}})
    with pytest.raises(InputError, match=r"1 of 432 numbers of stem\.conv\.weight are NaN or infinite"):
        load_pretrained(FusedLite(), "fused0", path)
    tensors["stem.conv.weight"][0, 0, 0, 0] = 0
    tensors["stem.bn.running_var"][0] = -1
    save_tensors(path, tensors, {"backbone": "fused0", "training": {}})
    with pytest.raises(InputError, match=r"stem\.bn\.running_var holds a negative variance"):
        load_pretrained(FusedLite(), "fused0", path)


@pytest.mark.parametrize("name", ["run", "run/metrics.csv/a"])
def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    with pytest.raises(InputError, match="cannot write"):
        distiller(tmp_path)
