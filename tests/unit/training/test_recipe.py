"""Recipes: unknown and wrong fields are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tinydet.edge.errors import InputError
from tinydet.training.recipes.recipe import read_recipe

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
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", "unknown field schedule.epoch; did you mean schedule.epochs?"),
        ("epochs = 2", 'epochs = "2"', "schedule.epochs expects int, got '2'"),
        ("epochs = 2", "epochs = true", "schedule.epochs expects int, got True"),
        ("epochs = 2", "", "the field schedule.epochs is missing"),
        ("epochs = 2", "epochs = 0", "schedule.epochs is 1 or more, got 0"),
        ('size = "n"', 'size = "xl"', "model.size is one of n, s, m, r50, got 'xl'"),
        ('size = "n"', 'size = "n"\nlr = 1', "unknown field model.lr"),
        ('train = ["a"]', 'train = "a"', "data.train is a list, got 'a'"),
        ('train = ["a"]', "train = []", "data.train is empty: expected one data set or more"),
        ('val = "b"', 'val = "b"\ncrop_px = 100', "data.crop_px is a multiple of 64, got 100"),
        ('val = "b"', 'val = "b"\nscale = [1.0]', "data.scale takes 2 values, got 1"),
        ('val = "b"', 'val = "b"\nmap = 3', "data.map is a table, got 3"),
        ('val = "b"', 'val = "b"\nmap = { van = 3 }', "data.map.van expects str, got 3"),
        ("[model]", "[model", "is not valid TOML"),
        ("[schedule]", "[scheduel]", "unknown field scheduel; did you mean schedule?"),
    ],
)
def test_a_wrong_field_is_one_line_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_recipe(write(tmp_path, GOOD.replace(old, new)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_and_a_malformed_override(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"--set expects table\.field=value, got 'epochs'"):
        read_recipe(write(tmp_path, GOOD), overrides=["epochs"])
