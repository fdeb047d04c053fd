from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinydet.edge.runtimes import compile_cache as cache


def test_the_oldest_files_go_when_the_cache_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "MAX_BYTES", 25)
    folder = cache.cache_folder("runtime")
    assert folder == tmp_path / "tinydet" / "runtime"
    for age_s, name in enumerate(("newest", "middle", "oldest")):
        (folder / name).write_bytes(bytes(10))
        os.utime(folder / name, (1e9 - age_s, 1e9 - age_s))
    cache.cache_folder("runtime")
    assert sorted(path.name for path in folder.iterdir()) == ["middle", "newest"]


def test_where_nothing_can_be_written_there_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache.cache_folder("runtime") is None
