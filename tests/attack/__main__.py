"""Attacks every command with every bad input: `python -m tests.attack [--only TEXT] [--out FILE]`.

Prints a table of wrong answers by kind and command, and writes each into FILE. Commands run in forked children, one bad
input after another, so that a crash or a hang costs one child.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

from tests.attack.cases import Group, groups
from tests.attack.judge import judge

GRACE_S = 15.0
"""After a command's own limit, for what cannot be interrupted."""
MEMORY_BYTES = 6 << 30
"""Address space of a child; PyTorch and the runtimes take some 3 GiB of it."""
LOADED_BEFORE = ("torch", "cv2", "onnx", "onnxruntime", "openvino", "ai_edge_litert.interpreter", "matplotlib.pyplot")
CASES_OF_A_CHILD = 150
"""A child ends then: pipelines that were never closed leave threads behind."""


@dataclass
class Child:
    """A forked process that works off one group."""

    group: Group
    process: int
    results: int
    """File descriptor of a pipe: one JSON object a line."""
    rest: bytes = b""
    running: tuple[int, str] | None = None
    """Position and description of the case under way."""
    deadline_s: float = 0.0
    done: int = 0


@dataclass
class Report:
    """Count the answers to all cases."""

    wrong: list[dict[str, str]] = field(default_factory=list)
    cases: Counter[str] = field(default_factory=Counter)
    out: IO[str] | None = None
    """Wrong answers go there as they come."""

    def add(self, command: str, kind: str, description: str, answers: list[str], text: str) -> None:
        self.cases[command] += 1
        for answer in answers:
            line = next((line for line in reversed(text.strip().splitlines()) if line.strip()), "")
            found = {"command": command, "kind": kind, "answer": answer, "case": description, "said": line[:300]}
            self.wrong.append(found)
            if self.out is not None:
                self.out.write(f"{json.dumps(found)}\n")
                self.out.flush()


def attack(good: Path, work: Path, report: Report, *, only: str, most: int | None, jobs: int) -> None:
    """Run all groups whose name has `only` in it."""
    waiting = [(group, 0) for group in groups(good, only=only, most=most) if group.most]
    children = dict[int, Child]()
    selector = selectors.DefaultSelector()
    while waiting or children:
        while waiting and len(children) < jobs:
            group, position = waiting.pop(0)
            child = _start(group, position, good, work)
            children[child.results] = child
            selector.register(child.results, selectors.EVENT_READ)
        for key, _ in selector.select(timeout=1.0):
            child = children[key.fd]
            data = os.read(child.results, 1 << 16)
            _take(child, data, report)
            if not data:
                _finish(child, selector, children, waiting, report, "crash")
        for child in list(children.values()):
            if child.running is not None and time.monotonic() > child.deadline_s:
                os.kill(child.process, signal.SIGKILL)
                _finish(child, selector, children, waiting, report, "hang")


def _start(group: Group, position: int, good: Path, work: Path) -> Child:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.close(reading)
            _work(group, position, good, work / f"case-{os.getpid()}", writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return Child(group=group, process=process, results=reading, done=position)


def _work(group: Group, position: int, good: Path, folder: Path, writing: int) -> None:
    """In the child: one case after another; each is announced before it runs."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for index, case in enumerate(group.cases()):
        if not position <= index < position + CASES_OF_A_CHILD:
            continue
        command, kind = case.row.command, case.kind
        message = {"start": index, "command": command, "kind": kind, "case": str(case), "limit_s": case.row.limit_s}
        os.write(writing, json.dumps(message).encode() + b"\n")
        answers, text = judge(case, good, folder)
        os.write(writing, json.dumps(message | {"answers": answers, "text": text[-2000:]}).encode() + b"\n")
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _take(child: Child, data: bytes, report: Report) -> None:
    *lines, child.rest = (child.rest + data).split(b"\n")
    for message in map(json.loads, lines):
        if "answers" in message:
            report.add(message["command"], message["kind"], message["case"], message["answers"], message["text"])
            child.running, child.done = None, message["start"] + 1
        else:
            child.running = message["start"], json.dumps(message)
            child.deadline_s = time.monotonic() + message["limit_s"] + GRACE_S


def _finish(
    child: Child,
    selector: selectors.BaseSelector,
    children: dict[int, Child],
    waiting: list[tuple[Group, int]],
    report: Report,
    answer: str,
) -> None:
    """The child has ended: whatever it was at is a wrong answer, and another one goes on behind that."""
    selector.unregister(child.results)
    os.close(child.results)
    del children[child.results]
    _, status = os.waitpid(child.process, 0)
    if child.running is not None:
        message = json.loads(child.running[1])
        said = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        report.add(message["command"], message["kind"], message["case"], [answer], said)
        child.done = child.running[0] + 1
    if child.done < len(child.group.chosen):
        waiting.insert(0, (child.group, child.done))
    else:
        sys.stderr.write(f"{sum(report.cases.values())} cases, {len(report.wrong)} wrong: {child.group.name}\n")


def tables(report: Report) -> Iterator[Table]:
    """Wrong answers by command and answer, and by kind and answer."""
    answers = sorted({wrong["answer"] for wrong in report.wrong})
    for heading in ("command", "kind"):
        table = Table(title=f"wrong answers by {heading}", title_justify="left")
        for name in (heading, *answers, "all", *(["cases"] if heading == "command" else [])):
            table.add_column(name, justify="left" if name == heading else "right")
        counts = Counter((wrong[heading], wrong["answer"]) for wrong in report.wrong)
        names = sorted(report.cases) if heading == "command" else sorted({wrong["kind"] for wrong in report.wrong})
        for name in names:
            row = [counts[name, answer] for answer in answers]
            total = [str(report.cases[name])] if heading == "command" else []
            table.add_row(name, *(str(count or "") for count in row), str(sum(row)), *total)
        yield table


def main() -> int:
    """Exit code 1 where there is a wrong answer."""
    parser = ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("/tmp/attack"), help="good inputs and work (default: %(default)s)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="groups with this in their name: `compare`, `.toml`")
    parser.add_argument("--most", type=int, metavar="N", help="cases of each group (default: as the table says)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="side by side (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="list of wrong answers, one JSON object a line")
    arguments = parser.parse_args()
    good = arguments.folder / "good"
    if not good.is_dir():
        subprocess.run([sys.executable, "-m", "tests.attack.good_inputs", str(good)], check=True)
    os.environ["XDG_CACHE_HOME"] = str(arguments.folder / "cache")
    for name in LOADED_BEFORE:
        import_module(name)
    start = time.monotonic()
    with ExitStack() as files:
        out = None if arguments.out is None else files.enter_context(arguments.out.open("w"))
        report = Report(out=out)
        attack(good, arguments.folder / "work", report, only=arguments.only, most=arguments.most, jobs=arguments.jobs)
    console = Console(width=160)
    for table in tables(report):
        console.print(table)
    minutes = (time.monotonic() - start) / 60
    console.print(f"{sum(report.cases.values())} cases in {minutes:.1f} minutes, {len(report.wrong)} wrong answers")
    if arguments.out is not None:
        console.print(f"wrote {arguments.out}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
