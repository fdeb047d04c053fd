"""Recipes that come with the package, by name.

Imports nothing heavy: `tinydet recipes` works where torch is not installed.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import kind_of

#: Command that takes the recipes -> folder of their files.
RECIPE_FOLDERS = {
    "tinydet train RECIPE, tinydet ablate RECIPE": Path(__file__).parent,
    "tinydet distill RECIPE": Path(__file__).parent / "distillation",
    "tinydet quantize --method qat --recipe RECIPE": Path(__file__).parents[2] / "quantization" / "recipes",
}


def bundled_recipes(folder: Path) -> dict[str, Path]:
    """The recipe files in `folder` by name, sorted."""
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: `name` itself if that is a file, otherwise the bundled recipe of that name.

    The ending `.toml` may be left out of a bundled name. Raises `InputError` that names the closest recipe.
    """
    path = Path(name)
    if kind_of(path) not in ("folder", None):  # a pipe or a device is refused where it is read
        return path
    recipes = {name: path for folder in RECIPE_FOLDERS.values() for name, path in bundled_recipes(folder).items()}
    bundled = recipes.get(str(name).removesuffix(".toml"))
    if bundled is not None:
        return bundled
    close = difflib.get_close_matches(path.name.removesuffix(".toml"), recipes, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    raise InputError(f"{printable(name)} is neither a file nor a recipe of tinydet: {hint}`tinydet recipes` lists them")


def summary(path: Path) -> str:
    """First sentence of the comment at the head of a recipe file."""
    head = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))
    text = " ".join(line.lstrip("# ") for line in head[0].splitlines()) if head else ""
    return re.split(r"(?<=\.) ", text, maxsplit=1)[0]
