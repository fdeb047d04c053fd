"""Random files, texts and values for every reader: it returns or raises `InputError` with one printable line.

TINYDET_FUZZ_SECONDS is the time for each of them: 1 here, 60 in a nightly run, an hour by hand.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.unit.edge.files.readers import READERS, Reader, refusal
from tests.unit.edge.files.test_schema import Model
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json
from tinydet.edge.files.names_inside import check_name
from tinydet.edge.files.numbers import finite, flag, whole
from tinydet.edge.files.printable import is_printable, printable, shown, without_credentials
from tinydet.edge.files.schema import validated
from tinydet.edge.files.toml_file import parse_toml
from tinydet.edge.files.yaml_file import parse_yaml

SECONDS = float(os.environ.get("TINYDET_FUZZ_SECONDS", "1"))
BATCH = 200

TEXTS = st.text(st.characters(exclude_categories=())) | st.text("0123456789.eE+-_[]{}\"':,#&*!<>/\\\n \t\0²٣")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def fuzz(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """Call `check` with examples of `strategy` for `SECONDS`; the first batches are the same in every run."""
    end_s, batch = time.monotonic() + SECONDS, 0
    while time.monotonic() < end_s:
        run = given(strategy)(check)
        run = settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))(run)
        seed(batch)(run)()
        batch += 1
    assert batch


def spoiled(good: bytes) -> st.SearchStrategy[bytes]:
    """`good` with some pieces cut out, repeated, or replaced by random bytes; or random bytes alone."""
    places = st.integers(0, len(good))
    pieces = st.binary(max_size=8) | st.sampled_from(
        [b"[" * 200, b"9" * 400, b"1e999", b"\0", b"\xff\xfe", b"NaN", b"-", b"&a *a"]
    )

    def splice(edits: list[tuple[int, int, bytes]]) -> bytes:
        content = good
        for first, second, piece in edits:
            start, end = sorted((first, second))
            content = content[:start] + piece + content[end if len(piece) % 2 else start :]
        return content

    return st.lists(st.tuples(places, places, pieces), max_size=4).map(splice) | st.binary(max_size=300)


def call(function: Callable[[], object]) -> None:
    """It may return; what it raises is an `InputError` of one printable line of bounded length."""
    try:
        function()
    except InputError as error:
        message = str(error)
    else:
        return
    assert is_printable(message)
    assert len(message) < 2000


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_files(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "file"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        refused = refusal(reader, path)
        assert refused is None or (is_printable(refused) and str(path) in refused)

    fuzz(check, spoiled(reader.good))


def test_documents() -> None:
    def check(text: str) -> None:
        for parse in (parse_json, parse_toml, parse_yaml):
            call(lambda parse=parse: parse(text, source="file"))  # type: ignore[misc]  # mypy cannot infer the lambda

    fuzz(check, TEXTS)


def test_json_keeps_what_it_takes() -> None:
    def check(value: Any) -> None:
        try:
            text = json.dumps(value, allow_nan=False)
        except ValueError:
            text = json.dumps(value)
            with pytest.raises(InputError, match=r"expected finite numbers|of at most 64 bits"):
                parse_json(text, source="file")
            return
        try:
            found = parse_json(text, source="file")
        except InputError as error:
            refused = str(error)
        else:
            assert found == json.loads(text)
            return
        assert "64 bits" in refused

    fuzz(check, VALUES)


def test_schema() -> None:
    fields = st.dictionaries(st.sampled_from([*Model.__dataclass_fields__, "level"]), VALUES, max_size=6)
    fuzz(lambda content: call(lambda: validated(content, Model, source="file")), fields | VALUES)


def test_values() -> None:
    def check(value: Any) -> None:
        assert is_printable(shown(value))
        for convert in (finite, whole, flag):
            call(lambda convert=convert: convert(value, "--option"))  # type: ignore[misc]  # mypy cannot infer the lambda
        try:
            assert math.isfinite(finite(value, "--option"))
        except InputError:
            return

    fuzz(check, VALUES)


def test_texts() -> None:
    def check(text: str) -> None:
        escaped = printable(text)
        assert is_printable(escaped)
        assert printable(escaped) == escaped
        escaped.encode()
        call(lambda: check_name(text, source="file"))

    fuzz(check, TEXTS)


def test_no_password_is_left() -> None:
    word = st.text("abcdefghijklmnopqrstuvwxyz0123456789@:!$-", min_size=4)

    def check(parts: tuple[str, str]) -> None:
        user, password = parts[0].replace(":", "").replace("@", ""), f"geheim{parts[1]}"
        for address in (
            f"rtsp://{user}:{password}@camera/live",
            f"gst:rtspsrc location=http://{user}:{password}@h:80/x ! y",
        ):
            assert "geheim" not in without_credentials(f"cannot open {address}: nothing answers")
            assert "camera" in without_credentials(address) or "@h:80/x" in without_credentials(address)

    fuzz(check, st.tuples(word, word))
