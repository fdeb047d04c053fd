"""Measures artifacts on a board over ssh: `tinydet profile --host`.

It takes one connection. Artifacts and the images of one split go to the board as a tar archive, into a folder that is
deleted afterwards; the board's own `tinydet profile --stream` measures, sends the profile so far after each turn, and
finally its report. If the connection breaks, the last profile received is kept.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from tinydet.boards.profiling.profile import ProfileOutput, artifact_files
from tinydet.boards.profiling.profile_file import check_profile
from tinydet.boards.profiling.ssh import FAILED, failure_reason, session
from tinydet.edge.datasets.coco_writing import coco_content, flat_names
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json

NOT_FOUND = 127
REPORT = "report.html"

# The command is made absolute before the script leaves the home folder. If the connection breaks, the board's tinydet
# fails with its next output, and the trap deletes the folder.
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


def profile_on_host(
    host: str,
    artifacts: Sequence[str],
    *,
    options: Sequence[str],
    dataset: Dataset | None = None,
    with_report: bool = False,
    tinydet: str = "tinydet",
    on_profile: Callable[[dict[str, Any]], None] | None = None,
) -> ProfileOutput:
    """Measure artifacts on `host`.

    Args:
        host: destination for `ssh`, for example `pi@board`.
        artifacts: files on this machine.
        options: options of `tinydet profile`, such as `--seconds` and `--threads`.
        dataset: data set to send and measure on.
        with_report: fetch the HTML report, too.
        tinydet: command on the board; a relative path starts at the home folder.
        on_profile: called with each profile received.

    Raises:
        InputError: an artifact is not a file, two have the same name, the host's key is unknown, the host does not
            answer, has no tinydet or reports an error before the first profile.
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
                page.append(line.decode(errors="replace"))
            elif line[:1] == b"{" and line[-1:] == b"\n":  # neither a greeting nor cut off by a broken connection
                content = _profile(line, host)
                if on_profile is not None:
                    on_profile(content)
    broken = _broken(host, tinydet, running.code, running.stderr)
    if content is None:
        raise InputError(broken or f"{host} sent no profile: is its tinydet older than this one?")
    html = "".join(page)
    return ProfileOutput(
        content=content, report_html=html if html.rstrip().endswith("</html>") else None, broken=broken
    )


def _profile(line: bytes, host: str) -> dict[str, Any]:
    fix = "not a profile: does its shell print something at login?"
    return check_profile(parse_json(line, source=host, fix=fix), source=host)


def _broken(host: str, tinydet: str, code: int, stderr: str) -> str | None:
    """One line on why the command failed; None if it succeeded."""
    if code == 0:
        return None
    if code == FAILED:
        return failure_reason(host, stderr)
    if code == NOT_FOUND:
        return (
            f"{host} has no command {tinydet}: install tinydet there (docs/boards), or give its path, for example "
            "--host-tinydet venv/bin/tinydet"
        )
    last = stderr.splitlines()[-1] if stderr else f"exit code {code}"
    return f"{host}: {last.removeprefix('error: ')}"


def _files(artifacts: Sequence[str]) -> list[Path]:
    """Files of the artifacts. Raises `InputError` for one that is not a file, or two of the same name."""
    paths = [Path(name) for name in artifacts]
    for path in paths:
        if not path.is_file():
            raise InputError(f"--host takes artifact files, and {path} is not a file: `tinydet export` makes them")
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
