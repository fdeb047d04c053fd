"""Classes renamed, merged and ignored by the recipe: in samples, in the loss, in validation, in `tinydet data`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.training.data.batch import Batch, collate
from tinydet.training.data.crops import TrainingCrops
from tinydet.training.engine.trainer import Trainer
from tinydet.training.loss import build_assigner, build_loss
from tinydet.training.model import RawOutputs, model_config
from tinydet.training.recipes.recipe import DataSettings, ModelSettings, Recipe, ScheduleSettings

SIDE = 128
REGION = [64, 0, 64, 128]
OBJECTS = {"car": [8, 8, 12, 12], "van": [30, 60, 16, 16], "DontCare": REGION, "truck": [70, 70, 12, 12]}


def write_data(folder: Path, *, names: tuple[str, ...] = tuple(OBJECTS)) -> Path:
    """One image a split with an object of each class; all of the right half is DontCare, and the truck is in it."""
    annotations = [
        {"id": index, "image_id": 1, "category_id": index, "bbox": OBJECTS[name], "iscrowd": 0}
        for index, name in enumerate(names)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}],
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
    }
    (folder / "annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split).mkdir()
        cv2.imwrite(str(folder / split / "a.png"), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    data = str(write_data(tmp_path / "data"))
    return DataSettings(
        train=(data,),
        val=data,
        classes=("car", "truck"),
        map={"van": "car"},
        ignore=("DontCare",),
        input_px=SIDE,
        crop_px=SIDE,
        scale=(1.0, 1.0),
        mosaic=0.0,
        colour=0.0,
        workers=0,
    )


def batch_of(settings: DataSettings) -> Batch:
    """The whole image, not rotated, as a batch."""
    crops = TrainingCrops(settings, seed=0, length=1)
    crop, sample = crops.uncropped(0), crops[0]
    sample = replace(
        sample,
        image_rgb=crop.image_rgb,
        boxes_xyxy_px=crop.boxes_xyxy_px,
        class_ids=crop.class_ids,
        ignored_xyxy_px=crop.ignored_xyxy_px,
    )
    return collate([sample])


def test_a_sample_has_merged_classes_and_ignored_regions(settings: DataSettings) -> None:
    (target,) = batch_of(settings).targets
    assert target.boxes_xyxy_px.tolist() == [[8, 8, 20, 20], [30, 60, 46, 76]]
    assert target.class_ids.tolist() == [0, 0], "a car and a van; the truck is lost in the region"
    assert [64, 0, 128, 128] in target.ignored_xyxy_px.tolist()
    assert target.labelled.tolist() == [True, True]


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_ignored_class_is_neither_object_nor_background(settings: DataSettings, dynamic: bool) -> None:
    """No output of the network in the region changes the loss; without `ignore`, all of them do."""
    config = model_config("n", settings.classes)
    for ignore in (settings.ignore, ()):
        torch.manual_seed(0)
        sides = [SIDE // stride for stride in config.strides]
        logits = [torch.randn(1, 2, side, side, requires_grad=True) for side in sides]
        masks = [torch.randn(1, 1, side, side, requires_grad=True) for side in sides]
        distances = [torch.full((1, 4, side, side), 1.5, requires_grad=True) for side in sides]
        loss = build_loss(config)
        loss.assigner = build_assigner(config, nwd=True, dynamic=dynamic)
        loss(RawOutputs(logits, distances, masks), batch_of(replace(settings, ignore=ignore)).targets).total.backward()
        for level in (*logits, *masks):
            assert level.grad is not None
            gradient = level.grad[..., level.shape[-1] // 2 :]
            assert not gradient.any() if ignore else gradient.all()
            assert level.grad[..., : level.shape[-1] // 2].all()


def test_validation_maps_and_ignores_as_training(settings: DataSettings, tmp_path: Path) -> None:
    recipe = Recipe(
        model=ModelSettings(size="n", weights="random"),
        data=settings,
        schedule=ScheduleSettings(epochs=1, steps_per_epoch=1, batch=1),
    )
    trainer = Trainer(recipe, tmp_path / "run")
    (record,) = trainer.val.images
    assert trainer.val.class_names == ("car", "truck")
    assert record.class_ids.tolist() == [0, 0, 1]
    assert record.is_crowd.tolist() == [False, False, True]
    assert record.ignored_xyxy_px.tolist() == [[64, 0, 128, 128]]
    assert trainer.run()["epoch"] == 1


def test_a_class_of_one_data_set_is_skipped_in_the_others(settings: DataSettings, tmp_path: Path) -> None:
    cars = str(write_data(tmp_path / "cars", names=("car",)))
    crops = TrainingCrops(replace(settings, train=(cars, settings.train[0])), seed=0, length=2)
    assert [frame.class_ids.tolist() for frame in crops.frames] == [[0], [0, 0, 1]]
    with pytest.raises(InputError, match=r"train\.json has no class 'vann': did you mean 'van'\?"):
        TrainingCrops(replace(settings, map={"vann": "car"}), seed=0, length=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": {"van": "cars"}}, "data.map renames 'van' to 'cars', which is not in data.classes"),
        ({"classes": ("car", "van")}, "data.classes has 'van', which data.map renames"),
        ({"ignore": ("truck",)}, "data.classes has 'truck', which data.map renames or data.ignore ignores"),
    ],
)
def test_a_map_without_effect_is_refused(settings: DataSettings, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(settings, **changes)  # type: ignore[arg-type]  # each is of the right type
    assert message in str(caught.value)


def test_data_check_and_convert_take_the_same_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    options = ["--map", "van=car", "--ignore", "DontCare"]
    main(["data", "check", str(data), *options, "--picture", str(tmp_path / "check.png"), "--json"])
    split = json.loads(capsys.readouterr().out)["splits"]["train"]
    assert split["objects_by_class"] == {"car": 2, "truck": 0}
    assert (split["crowds"], split["ignored_regions"]) == (1, 1)
    assert main(["data", "convert", str(data), *options, "--out", str(out)]) == 0
    content = json.loads((out / "annotations" / "val.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["car", "truck"]
    assert content["images"][0]["ignored_regions"] == [REGION]
    for wrong, message in (("van", "--map expects OLD=NEW"), ("vans=car", "did you mean 'van'?")):
        assert main(["data", "check", str(data), "--map", wrong]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
