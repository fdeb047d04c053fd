"""All cases: every row of the table with each of its files replaced by bad variants, and with bad options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from tests.attack.commands import ROWS, Row, bad_options
from tests.attack.judge import Case
from tests.attack.mutations import variants
from tests.attack.variant import Good
from tinydet.edge.commands.cli import CommandParser
from tinydet.edge.commands.command import Command


@dataclass(frozen=True, kw_only=True)
class Group:
    """The cases of one file of one row, or of one row's options; made one by one, for they hold whole files."""

    name: str
    made: Callable[[], Iterator[Case]]
    chosen: frozenset[int]
    """Positions in `made` of those that are tried."""

    @property
    def count(self) -> int:
        """How many are tried."""
        return len(self.chosen)

    def cases(self) -> Iterator[Case]:
        """Those that are tried."""
        return (case for index, case in enumerate(self.made()) if index in self.chosen)


def groups(good: Path, *, only: str, most: int | None) -> Iterator[Group]:
    """Those whose name has `only` in it; `most` bounds the cases of each below what the table says."""
    with_options: set[str] = set()
    for row in ROWS:
        limit = min((number for number in (row.most, most) if number is not None), default=None)
        made = {f"{row.line} {file}": partial(_of_file, row, good, file, kind) for file, kind in row.attacked.items()}
        if row.command not in with_options:
            with_options.add(row.command)
            made[f"{row.line} options"] = partial(_of_options, row)
        for name, cases in made.items():
            if only in name:
                yield _group(name, cases, limit)


def _group(name: str, made: Callable[[], Iterator[Case]], most: int | None) -> Group:
    """Of a bounded group the kinds are taken in turn, so that each is tried before any is tried twice."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for index, case in enumerate(made()):
        by_kind[case.kind].append(index)
    total = sum(map(len, by_kind.values()))
    chosen: list[int] = []
    while len(chosen) < (total if most is None else min(total, most)):
        for indices in by_kind.values():
            if indices:
                chosen.append(indices.pop(len(indices) // 2))
    return Group(name=name, made=made, chosen=frozenset(chosen if most is None else chosen[:most]))


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
            must_refuse = arguments[1] != "1000000000" if action.type in (int, float) else arguments[1] == ""
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
