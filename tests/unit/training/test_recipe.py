"""Recipes: unknown and wrong fields are refused by name."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from tests.paths import REPOSITORY
from tinydet.edge.errors import InputError
from tinydet.training.recipes.recipe import Recipe, read_recipe

RECIPES = REPOSITORY / "training" / "recipes"
GOOD = """
[model]
size = "n"
[data]
train = ["a"]
val = "b"
classes = ["car"]
[schedule]
epochs = 2
steps_per_epoch = 10
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_bundled_recipes_are_valid_and_state_their_result(path: Path) -> None:
    read_recipe(path)
    text = path.read_text()
    assert ("# Reached when last run: " in text) != ("# Not run here: " in text)


def test_defaults_overrides_and_data(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path, GOOD),
        data="there",
        overrides=["schedule.epochs=5", "optimizer.name=sgd", "data.scale=[1, 2]", "data.map.van=car"],
    )
    assert recipe.schedule.total_steps == 50
    assert recipe.optimizer.name == "sgd"
    assert recipe.data.scale == (1.0, 2.0)
    assert recipe.data.map == {"van": "car"}
    assert recipe.data.train == ("there",)
    assert recipe.data.val == "there"


@pytest.mark.parametrize(
    ("lines", "balance"),
    [("", "object"), ("dcloss = true", "band"), ("dcloss = false", "none"), ('balance = "band"', "band")],
)
def test_recipes_with_the_dcloss_of_earlier_versions_are_read(tmp_path: Path, lines: str, balance: str) -> None:
    assert read_recipe(write(tmp_path, f"{GOOD}[loss]\n{lines}\n")).loss.balance == balance


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", "unknown field schedule.epoch; did you mean schedule.epochs?"),
        ("epochs = 2", 'epochs = "2"', "schedule.epochs: expected a whole number, got '2'"),
        ("epochs = 2", "epochs = true", "schedule.epochs: expected a whole number, got True"),
        ("epochs = 2", "", "the field schedule.epochs is missing"),
        ("epochs = 2", "epochs = 0", "schedule.epochs: expected 1 to 1000000, got 0"),
        ('size = "n"', 'size = "xl"', "model.size is one of n, s, m, r50, got 'xl'"),
        ('size = "n"', 'size = "n"\nlr = 1', "unknown field model.lr"),
        ('train = ["a"]', 'train = "a"', "data.train: expected a list, got 'a'"),
        ('train = ["a"]', "train = []", "data.train: expected 1 to 1000 of them, got []"),
        ('val = "b"', 'val = "b"\ncrop_px = 100', "data.crop_px: expected a multiple of 64, got 100"),
        ('val = "b"', 'val = "b"\nscale = [1.0]', "data.scale: expected 2 values, got [1.0]"),
        ('val = "b"', 'val = "b"\nmap = 3', "data.map: expected a table, got 3"),
        ('val = "b"', 'val = "b"\nmap = { van = 3 }', "data.map.van: expected text, got 3"),
        ("[schedule]", "[loss]\ndcloss = 1\n[schedule]", "unknown field loss.dcloss; known are balance, nwd, by_size"),
        ("[schedule]", '[loss]\nbalance = "size"\n[schedule]', "loss.balance: expected object or band or none, got"),
        ("[model]", "[model", "not valid TOML"),
        ("[schedule]", "[scheduel]", "unknown field scheduel; did you mean schedule?"),
    ],
)
def test_a_wrong_field_is_one_line_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(write(tmp_path, GOOD.replace(old, new)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


FLOATS = [
    f"{table.name}.{entry.name}"
    for table in fields(Recipe)
    for entry in fields(get_type_hints(Recipe)[table.name])
    if entry.type in ("Share", "float") or "[float" in str(entry.type) or "Zoom" in str(entry.type)
]
WHOLE = [
    f"{table.name}.{entry.name}"
    for table in fields(Recipe)
    for entry in fields(get_type_hints(Recipe)[table.name])
    if entry.type in ("Pixels", "int") or "[int" in str(entry.type)
]


@pytest.mark.parametrize("name", [*FLOATS, *WHOLE])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e999", "1e300", "9" * 20, "9" * 5000, "true", '"1"'])
def test_every_number_has_a_range(name: str, value: str, tmp_path: Path) -> None:
    """Also where it is set on the command line; both values of `data.scale`."""
    if name == "schedule.seed" and value == "1e300":
        value = "1.5"
    value = f"[1.0, {value}]" if name == "data.scale" else value
    with pytest.raises(InputError, match=re.escape(name)) as caught:
        read_recipe(write(tmp_path, GOOD), overrides=[f"{name}={value}"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(tmp_path))


def test_there_are_numbers_to_check() -> None:
    assert len(FLOATS) == 10 and len(WHOLE) == 11


@pytest.mark.parametrize("setting", ["schedule.batch=1000000000", "data.workers=1000000", "data.input_px=640000"])
def test_sizes_that_no_machine_has_are_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=setting.partition("=")[0]):
        read_recipe(write(tmp_path, GOOD), overrides=[setting])


@pytest.mark.parametrize("name", ["back\\slash", "both 'kinds' of \"quotes\"", "[1]", "line = 1"])
def test_a_data_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, GOOD), data=name)
    assert (recipe.data.train, recipe.data.val) == ((name,), name)


@pytest.mark.parametrize(
    "setting",
    ["data.train=" + "[" * 5000, "data.train=" + "[" * 40 + "1" + "]" * 40, "a." * 5000 + "b=1", "=1", "schedule..x=1",
     "model.weights=a\x1b[31m", "model.weights=a\0b", "model.weights=", "model.size=n\nneck=1", "schedule=3",
     "schedule.epochs.x=3", "optimizer.name=adam", "model.neck=pan"],
)  # fmt: skip
def test_bad_overrides_are_one_line(setting: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(write(tmp_path, GOOD), overrides=[setting])
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300 + len(str(tmp_path))


def test_a_missing_recipe_and_a_malformed_override(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"--set expects table\.field=value, got 'epochs'"):
        read_recipe(write(tmp_path, GOOD), overrides=["epochs"])
