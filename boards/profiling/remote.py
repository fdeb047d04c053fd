"""Measures artifacts on another computer, the board, over ssh: `tinydet profile --host`.

One connection does it all. Artifacts and the images of one split go there as a tar archive into a folder that is
deleted afterwards; the board's own `tinydet profile --stream` measures, sends the profile so far after each turn, and
at last its report. What breaks in between leaves the last profile that came.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tinydet.boards.profiling.artifact_files import artifact_files
from tinydet.boards.profiling.profile import check_profile
from tinydet.boards.profiling.ssh import FAILED, reason, session
from tinydet.edge.datasets.coco_writing import coco_content, flat_names
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.errors import InputError

NOT_FOUND = 127
REPORT = "report.html"

# The command is made absolute before the home folder is left. Where the connection breaks, it fails as it next writes.
_SCRIPT = """set -eu
tinydet=$(command -v {tinydet}) || exit {not_found}
case $tinydet in /*) ;; *) tinydet=$PWD/$tinydet ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cd "$work"
tar -xf -
"$tinydet" profile {arguments} --stream
if [ -f {report} ]; then cat {report}; fi
"""


@dataclass(frozen=True, kw_only=True)
class RemoteProfile:
    """What came back."""

    content: dict[str, Any]
    """As `Profile.as_dict()`; `complete` is false where it broke off."""
    report_html: str | None
    broken: str | None
    """Why it is not complete."""


def profile_on_host(
    host: str,
    artifacts: Sequence[str],
    *,
    options: Sequence[str],
    dataset: Dataset | None = None,
    with_report: bool = False,
    tinydet: str = "tinydet",
    on_profile: Callable[[dict[str, Any]], None] | None = None,
) -> RemoteProfile:
    """Measure on `host` with the options of `tinydet profile` in `options`.

    Args:
        host: as for `ssh`.
        artifacts: files here.
        options: how long, how many threads.
        dataset: frames to send.
        with_report: bring the page, too.
        tinydet: the command there; a relative path starts at the home folder.
        on_profile: given each profile that comes.

    Raises:
        InputError: an artifact is no file, two have one name, the host's key is not known, nothing answers, there is no
            tinydet, or the board refuses; nothing came back then.
    """
    files = _files(artifacts)
    arguments = [*(Path(name).name for name in artifacts), *options]
    arguments += ["--data", "data"] if dataset is not None else []
    arguments += ["--report", REPORT] if with_report else []
    script = _SCRIPT.format(
        tinydet=shlex.quote(tinydet), not_found=NOT_FOUND, arguments=shlex.join(arguments), report=REPORT
    )
    content: dict[str, Any] | None = None
    page: list[str] = []
    with session(host, script, lambda stdin: _write_archive(stdin, files, dataset)) as running:
        for line in running.stdout:
            if content is not None and content["complete"]:
                page.append(line.decode())
            elif line.startswith(b"{") and line.endswith(b"\n"):  # not a greeting, nor broken in its middle
                content = _profile(line, host)
                if on_profile is not None:
                    on_profile(content)
    broken = _broken(host, tinydet, running.code, running.said)
    if content is None:
        raise InputError(broken or f"{host} sent no profile: is its tinydet older than this one?")
    html = "".join(page)
    return RemoteProfile(
        content=content, report_html=html if html.rstrip().endswith("</html>") else None, broken=broken
    )


def _profile(line: bytes, host: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise InputError(f"{host} sent what is no profile: does its shell print something at login?") from error
    return check_profile(content, source=host)


def _broken(host: str, tinydet: str, code: int, said: str) -> str | None:
    if code == 0:
        return None
    if code == FAILED:
        return reason(host, said)
    if code == NOT_FOUND:
        return (
            f"{host} has no command {tinydet}: install tinydet there (docs/boards), or name it, as in "
            "--host-tinydet venv/bin/tinydet"
        )
    last = said.splitlines()[-1] if said else f"exit code {code}"
    return f"{host}: {last.removeprefix('error: ')}"


def _files(artifacts: Sequence[str]) -> list[Path]:
    """The artifacts' own and those that belong to them."""
    paths = [Path(name) for name in artifacts]
    for path in paths:
        if not path.is_file():
            raise InputError(f"--host takes artifact files, and {path} is none: `tinydet export` makes them")
    names = [path.name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--host: two artifacts are named {name}: rename one of them")
    return [file for path in paths for file in artifact_files(path)]


def _write_archive(stdin: IO[bytes], files: Sequence[Path], dataset: Dataset | None) -> None:
    with tarfile.open(fileobj=stdin, mode="w|") as archive:
        for path in files:
            archive.add(path.resolve(), path.name)
        if dataset is None:
            return
        names = flat_names(dataset)
        annotations = json.dumps(coco_content(dataset, names)).encode()
        entry = tarfile.TarInfo("data/annotations/val.json")
        entry.size = len(annotations)
        archive.addfile(entry, io.BytesIO(annotations))
        for path, name in names.items():
            archive.add(path.resolve(), f"data/val/{name}")
