"""`tinydet recipes`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="recipe to print (default: list all)")


def _run(arguments: Namespace) -> None:
    from tinydet.edge.files.text_file import read_text
    from tinydet.edge.files.toml_file import TOML_BYTES
    from tinydet.training.recipes import RECIPE_FOLDERS, bundled_recipes, find_recipe, summary

    if arguments.name is not None:
        terminal.deliver_text(
            read_text(find_recipe(arguments.name), what="recipe", limit_bytes=TOML_BYTES).rstrip("\n")
        )
        return
    for command, folder in RECIPE_FOLDERS.items():
        terminal.deliver_text(f"{command}:")
        for name, path in bundled_recipes(folder).items():
            terminal.deliver_text(f"  {name:<18}{summary(path)}")


COMMAND = Command(
    name="recipes",
    help="list the recipes that come with tinydet, or print one to start your own from",
    example="tinydet recipes aerial-vehicles > mine.toml",
    add_arguments=_add_arguments,
    run=_run,
)
