"""All cases: every row of the table with each of its files replaced by bad variants, and with bad options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import entry_points
from pathlib import Path

from tests.attack.commands import ROWS, Row, bad_options
from tests.attack.judge import Case
from tests.attack.mutations import variants
from tests.attack.variant import Good
from tinydet.edge.commands.cli import CommandParser
from tinydet.edge.commands.command import Command

MOST = 80
"""Cases of each group that are tried, unless the table says fewer: all kinds, each at several places."""


@dataclass(kw_only=True)
class Group:
    """The cases of one file of one row, or of one row's options; made one by one, for they hold whole files."""

    name: str
    made: Callable[[], Iterator[Case]]
    most: int

    @cached_property
    def chosen(self) -> frozenset[int]:
        """Positions in `made` of those that are tried: of all kinds in turn, so that each is tried before any twice."""
        by_kind: dict[str, list[int]] = defaultdict(list)
        for index, case in enumerate(self.made()):
            by_kind[case.kind].append(index)
        chosen: list[int] = []
        while len(chosen) < self.most and any(by_kind.values()):
            for indices in by_kind.values():
                if indices:
                    chosen.append(indices.pop(len(indices) // 2))
        return frozenset(chosen[: self.most])

    def cases(self) -> Iterator[Case]:
        """Those that are tried."""
        return (case for index, case in enumerate(self.made()) if index in self.chosen)


def groups(good: Path, *, only: str, most: int | None) -> Iterator[Group]:
    """Those whose name has `only` in it; `most` stands for `MOST`, and bounds what the table says."""
    with_options: set[str] = set()
    for row in ROWS:
        limit = MOST if row.most is None else row.most
        if most is not None:
            limit = most if row.most is None else min(most, row.most)
        made = {f"{row.line} {file}": partial(_of_file, row, good, file, kind) for file, kind in row.attacked.items()}
        if row.command not in with_options:
            with_options.add(row.command)
            made[f"{row.line} options"] = partial(_of_options, row)
        for name, cases in made.items():
            if only in name:
                yield Group(name=name, made=cases, most=limit)


def _of_file(row: Row, good: Path, file: str, kind: Good) -> Iterator[Case]:
    for variant in variants(good / file, kind):
        yield Case(
            row=row,
            file=file,
            kind=variant.kind,
            name=variant.name,
            write=variant.write,
            must_refuse=variant.must_refuse,
        )


def _of_options(row: Row) -> Iterator[Case]:
    for action in _parser(row)._actions:
        for kind, arguments in bad_options(action):
            must_refuse = not arguments[1].isdigit() if action.type in (int, float) else arguments[1] == ""
            name = " ".join(arguments)
            yield Case(
                row=row, file="", kind=kind, name=name, write=None, arguments=tuple(arguments), must_refuse=must_refuse
            )


def _parser(row: Row) -> CommandParser:
    name, _, task = row.command.partition(" ")
    (entry,) = entry_points(group="tinydet.commands", name=name)
    command: Command = entry.load()
    if task:
        from tinydet.training.commands.data import TASKS

        command = TASKS[task]
    return CommandParser(command)
