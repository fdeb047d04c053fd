"""YAML from outside: plain data of the core schema (YAML 1.2, section 10.3), bounded in size, depth and digits.

So `no`, `2024-01-01` and `007` are text, as class names mean them. Aliases and explicit tags are refused: a few lines
of aliases stand for gigabytes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import finite, whole
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import MIB
from tinydet.edge.files.text_file import read_text

YAML_BYTES = MIB // 4
"""Largest YAML file; PyYAML reads some 100 KB a second on a board."""
DEEPEST = 16
"""Levels of tables and lists in each other."""

_CORE_SCHEMA = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
}
"""Kind -> the texts that are of it, and the characters they begin with; everything else is text."""


def read_yaml(path: Path | str, *, what: str = "file") -> Any:
    """Read a YAML file. Arguments and errors: `open_file` in `regular_file`, and `parse_yaml`."""
    return parse_yaml(read_text(path, what=what, limit_bytes=YAML_BYTES), source=printable(path))


def parse_yaml(text: str, *, source: str) -> Any:
    """Parse one YAML document: dicts, lists, str, int, float, bool and None. An empty one is None.

    Raises:
        InputError: it is no YAML, has an alias, an explicit tag or a key twice, or is nested deeper than `DEEPEST`; the
            message begins with `source`.
    """
    import yaml

    try:
        return yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        raise InputError(f"{source}: not valid YAML{place}: {printable(error.problem)}") from error
    except (yaml.YAMLError, RecursionError) as error:  # a character that YAML does not allow; brackets without end
        raise InputError(f"{source}: not valid YAML: {printable(' '.join(str(error).split()))}") from error


@cache
def _loader() -> Any:
    """The loader's class, made when first used: the import takes 20 ms."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        levels = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # its stub has no types
            mark = event.start_mark
            if isinstance(event, yaml.AliasEvent):
                raise yaml.composer.ComposerError(None, None, f"*{event.anchor}: write the value out", mark)
            if getattr(event, "tag", None) is not None:
                raise yaml.composer.ComposerError(None, None, f"tag {event.tag}: write the value without it", mark)
            self.levels += 1
            if self.levels > DEEPEST + 1:
                raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} levels in each other", mark)
            node = super().compose_node(parent, index)
            self.levels -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            found = super().construct_mapping(node, deep)
            if len(found) < len(node.value):
                raise yaml.constructor.ConstructorError(None, None, "a table names a key twice", node.start_mark)
            return found

    def number(loader: Any, node: Any) -> float:
        try:
            is_whole = node.tag.endswith("int")
            return whole(node.value, "a number") if is_whole else finite(node.value, "a number")
        except InputError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error

    for kind in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", number)
    Loader.yaml_implicit_resolvers = {}
    for kind, (pattern, first) in _CORE_SCHEMA.items():
        letters = ["" if letter == "\0" else letter for letter in first]
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z"), letters)
    return Loader
