"""Bundled recipes are found by name, listed, and printed, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError
from tinydet.training.recipes import RECIPE_FOLDERS, bundled_recipes, find_recipe, summary

TRAINING = REPOSITORY / "training" / "recipes"
FOLDERS = (TRAINING, TRAINING / "distillation", REPOSITORY / "quantization" / "recipes")
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.toml"))]


def test_every_bundled_recipe_is_found_by_its_name() -> None:
    assert FILES
    for path in FILES:
        assert find_recipe(path.stem).samefile(path)
        assert find_recipe(path.name).samefile(path)
    assert [folder.resolve() for folder in RECIPE_FOLDERS.values()] == list(FOLDERS)


def test_a_file_comes_before_a_bundled_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "visdrone").mkdir()
    assert find_recipe("visdrone").samefile(FOLDERS[0] / "visdrone.toml"), "a folder is no recipe"
    Path("visdrone.toml").write_text("")
    assert find_recipe("visdrone.toml") == Path("visdrone.toml")
    assert find_recipe(tmp_path / "visdrone.toml") == tmp_path / "visdrone.toml"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("aerial-vehicels", "did you mean aerial-vehicles? "),
        ("training/recipes/none/qat-m.toml", "did you mean qat-n? "),
        ("my-own.toml", ""),
    ],
)
def test_an_unknown_recipe_names_the_closest(name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        find_recipe(name)
    expected = f"{name} is neither a file nor a recipe of tinydet: {hint}`tinydet recipes` lists them"
    assert str(caught.value) == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recipes_prints_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", path.stem]) == 0
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


def test_recipes_lists_every_name_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [path.stem for path in FILES]
    for path in bundled_recipes(FOLDERS[0]).values():
        assert summary(path).endswith(".") and 20 < len(summary(path)) < 120, path


def test_a_summary_is_the_first_sentence(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("# Fine-tunes v1.5 on\n# roofs. More.\n\n[model] # Not this.\n")
    assert summary(path) == "Fine-tunes v1.5 on roofs."
    path.write_text("[model]\n")
    assert summary(path) == ""


def test_recipes_runs_without_torch() -> None:
    script = """import sys
sys.modules["torch"] = None
from tinydet.edge.commands.cli import main
sys.exit(main(["recipes"]))"""
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_train_takes_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "aerial-vehicles", "--data", "none"]) == 2
    assert "data set none does not exist" in capsys.readouterr().err
    assert main(["ablate", "ablatoin"]) == 2
    assert "did you mean ablation?" in capsys.readouterr().err
