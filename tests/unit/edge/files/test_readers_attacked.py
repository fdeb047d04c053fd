"""Every reader against every bad variant of a good file: it returns, or refuses in one line, at once."""

from __future__ import annotations

import inspect
import pkgutil
import time
from importlib import import_module
from pathlib import Path

import pytest

import tinydet.edge.files
from tests.attack.mutations import variants
from tests.unit.edge.files.readers import READERS, Reader, refusal
from tinydet.edge.files.printable import is_printable

LONGEST_S = 5.0


def test_every_reader_is_attacked() -> None:
    found = set()
    for module in pkgutil.iter_modules(tinydet.edge.files.__path__, "tinydet.edge.files."):
        for name, function in inspect.getmembers(import_module(module.name), inspect.isfunction):
            if name.startswith("read_") and function.__module__ == module.name:
                found.add(name)
    assert len(found) >= 8
    assert found <= READERS.keys()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_good_file_is_read(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "good"
    path.write_bytes(reader.good)
    assert reader.read(path) is not None


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_bad_files(reader: Reader, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(reader.good)
    seen = set()
    for index, variant in enumerate(variants(good, reader.kind)):
        path, what = tmp_path / str(index), f"{variant.kind}, {variant.name}"
        variant.write(path)
        start_s = time.monotonic()
        refused = refusal(reader, path)
        assert time.monotonic() - start_s < LONGEST_S, what
        if refused is not None:
            assert is_printable(refused), what
            assert len(refused) < 1000, what
            assert str(path) in refused, what
        seen.add(variant.kind)
        is_inside = variant.name.startswith("metadata") and variant.kind != "bomb"  # for the reader of the metadata
        if variant.must_refuse and variant.kind in reader.refuses and not is_inside:
            assert refused, what
        if path.is_file() and not path.is_symlink():
            path.unlink()
    assert reader.refuses <= seen
