"""JSONL files whose end was torn by a full disk or a power cut, and what a second flight makes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.sinks.frame_results import NAMES, Recorded, result
from tinydet.edge.errors import InputError
from tinydet.edge.sinks.json_lines import JsonLines

CAMERA = Recorded("rtsp://admin:secret@camera/1", is_live=True)


def fly(path: Path, frames: int = 1) -> None:
    with JsonLines(path, NAMES, CAMERA) as sink:
        for index in range(frames):
            sink.write(result(index, captured_s=1.0))


def test_a_log_torn_at_any_byte_is_healed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    fly(path, 2)
    whole = path.read_bytes()
    first, second = whole.splitlines()
    for zeros in (0, 1, 70_000):
        for end in range(len(first) + 1, len(whole) + 1):
            path.write_bytes(whole[:end] + bytes(zeros))
            fly(path)
            lines = path.read_bytes().splitlines()
            kept = [first, second] if whole[:end].rstrip().endswith(second) else [first]
            assert lines[:-1] == kept, (end, zeros)
            assert json.loads(lines[-1])["frame"] == 0


def test_random_ends_lose_no_record_and_nothing_is_glued(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "x.jsonl"
    fly(path, 1)
    record = path.read_bytes()
    foreign = [b"note", b"{", b'{"fr', b"[1, 2", b"{}", b"\xff\xfe", b"\r", b'{"frame": 1', b"[" * 100_000, b"9" * 5000]
    ends = [*foreign, *(random.bytes(int(random.integers(1, 60))) for _ in range(200))]
    for end in ends:
        path.write_bytes(record + end)
        fly(path)
        content = path.read_bytes()
        assert content.startswith(record)
        added = content[len(record) :]
        assert json.loads(added.splitlines()[-1])["frame"] == 0
        rest = added[: added.rstrip(b"\n").rfind(b"\n") + 1]
        line = end.rpartition(b"\n")[2].rstrip(b"\0")
        is_ours = b'{"frame"'.startswith(line) or line.startswith(b'{"frame"')
        kept = end[: len(end) - len(end.rpartition(b"\n")[2])] + (b"" if is_ours else line + b"\n")
        assert rest == kept, end


def test_passwords_do_not_reach_the_log(tmp_path: Path) -> None:
    fly(tmp_path / "x.jsonl")
    text = (tmp_path / "x.jsonl").read_text()
    assert json.loads(text)["source"] == "rtsp://admin:***@camera/1" and "secret" not in text


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="named pipe"):
        fly(tmp_path / "x.jsonl")
