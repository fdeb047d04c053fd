"""What the readers of outside files take, and what their errors say."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.files.readers import ENTRY, READERS
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json, read_json
from tinydet.edge.files.regular_file import file_sha256, kind_of, read_bytes
from tinydet.edge.files.safetensors_header import TensorEntry, read_header
from tinydet.edge.files.text_file import read_lines, read_table
from tinydet.edge.files.toml_file import parse_toml
from tinydet.edge.files.xml_file import read_xml
from tinydet.edge.files.yaml_file import parse_yaml
from tinydet.edge.files.zip_bytes import read_entry


def refused(function: Callable[[], object]) -> str:
    """The error's line."""
    with pytest.raises(InputError) as caught:
        function()
    return str(caught.value)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, so that messages have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_no_file_is_refused_at_once(here: Path) -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("zero").symlink_to("/dev/zero")
    Path("file").write_bytes(b"12345")
    Path("b\udce9").write_bytes(b"")
    start_s = time.monotonic()
    for name, problem in {
        "folder": "cannot read image folder: expected a file, got a folder",
        "pipe": "cannot read image pipe: expected a file, got a named pipe",
        "zero": "cannot read image zero: expected a file, got a device",
        "loop": "cannot read image loop: Too many levels of symbolic links",
        "nowhere": "image nowhere does not exist",
        "file/x": "cannot read image file/x: Not a directory",
        "a\0b": r"cannot read image a\x00b: no file can have this name",
        "\ud800": r"cannot read image \ud800: no file can have this name",
        "x" * 300: f"cannot read image {'x' * 300}: File name too long",
    }.items():
        assert refused(lambda name=name: read_bytes(name, what="image", fix="do this")) == f"{problem}: do this"  # type: ignore[misc]  # mypy cannot infer the lambda
    assert time.monotonic() - start_s < 2
    assert [kind_of(name) for name in ("folder", "pipe", "zero", "loop", "x" * 300, "a\0b", "file")] == [
        *("folder", "named pipe", "device", None, None, None, "file")
    ]


def test_sizes_are_bounded(here: Path) -> None:
    Path("file").write_bytes(b"12345")
    assert read_bytes("file", limit_bytes=5) == b"12345"
    assert (
        refused(lambda: read_bytes("file", limit_bytes=4))
        == "cannot read file file: expected at most 4 bytes, got 5 bytes"
    )
    assert file_sha256("file") == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    with Path("sparse").open("wb") as file:
        file.truncate(8 << 30)
    assert "expected at most 1024.0 MiB, got 8192.0 MiB" in refused(lambda: file_sha256("sparse"))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ('\ufeff{"é": 1}'.encode(), {"é": 1}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        ("9223372036854775807", 2**63 - 1),
        (f"1.{'1' * 5000}", 1.1111111111111112),
        ('{"sum": "' + "1" * 5000 + '"}', {"sum": "1" * 5000}),
        ("[" * 64 + "]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
)
def test_json(text: str | bytes, content: object) -> None:
    assert parse_json(text, source="file") == content


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a"', "broken JSON at line 1, column 5: Expecting ':' delimiter"),
        ('{\n"a": NaN}', "expected finite numbers, got NaN"),
        ("[-Infinity]", "expected finite numbers, got -Infinity"),
        ("1e999", "expected numbers that a float can hold, got 1e999"),
        ("9223372036854775808", "expected whole numbers of at most 64 bits, got 9223372036854775808"),
        ("1" * 5000, "expected whole numbers of at most 64 bits, got 11111111111111111111... (5000 digits)"),
        ("[" * 65 + "]" * 65, "expected at most 64 levels of objects and lists, got more"),
        ("[" * 1_000_000, "expected at most 64 levels of objects and lists, got more"),
        ('{"a": 1, "b": 2, "a": 3}', "one object names 'a' twice"),
    ],
)
def test_json_that_is_refused(text: str, problem: str) -> None:
    assert refused(lambda: parse_json(text, source="file", fix="measure again")) == f"file: {problem}: measure again"


def test_a_limit_of_its_own(here: Path) -> None:
    Path("val.json").write_text("[1, 2]")
    assert read_json("val.json", limit_bytes=6) == [1, 2]
    assert "expected at most 5 bytes" in refused(lambda: read_json("val.json", limit_bytes=5))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 5000, "expected at most 16 levels of tables and lists, got more"),
        ("a = " + "[" * 17 + "]" * 17, "expected at most 16 levels of tables and lists, got more"),
        ("a." * 17 + "a = 1", "expected at most 16 levels of tables and lists, got more"),
        ("a = " + "1" * 5000, "a number has more than 4300 digits"),
        ("\n" + "a." * 500_000 + "a = 1", "line 2 has more than 1000 dots: break it into several lines"),
        ("a = 1\na = 2", "not valid TOML: Cannot overwrite a value"),
        ("a = 2024-02-30", "not valid TOML: "),
    ],
)
def test_toml_that_is_refused(text: str, problem: str) -> None:
    assert refused(lambda: parse_toml(text, source="file")).startswith(f"file: {problem}")


def test_yaml_means_the_core_schema() -> None:
    text = "names: [yes, no, 2024-01-01, 007, 12:30, 0x10, .inf]\nvalues: [1, -2.5, 1e3, true, null, ~]\n0: a\n"
    assert parse_yaml(text, source="file") == {
        "names": ["yes", "no", "2024-01-01", "007", "12:30", "0x10", ".inf"],
        "values": [1, -2.5, 1000.0, True, None, None],
        0: "a",
    }
    assert parse_yaml("", source="file") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2", " at line 2, column 2: expected"),
        ("a: &x [1]\nb: *x", " at line 2, column 4: *x: write the value out"),
        ("a: !!python/object:os.system x", " at line 1, column 4: tag tag:yaml.org,2002:python/object:os.system: "),
        ("[" * 2000, " at line 1, column 18: more than 16 levels in each other"),
        ("a: 1\na: 2", " at line 1, column 1: a table names a key twice"),
        ("? [1]\n: 2", " at line 1, column 3: found unhashable key"),
        ("a: " + "1" * 5000, " at line 1, column 4: a number: expected a whole number, "),
        ("a: 1e999", " at line 1, column 4: a number: expected a finite number, got '1e999'"),
        ("\x07", ": unacceptable character #x0007"),
        ("--- 1\n--- 2", " at line 2, column 1: "),
    ],
)
def test_yaml_that_is_refused(text: str, problem: str) -> None:
    assert refused(lambda: parse_yaml(text, source="file")).startswith(f"file: not valid YAML{problem}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "UTF-16", "gb2312", "GBK", "gb18030", "big5", "shift_jis"])
def test_xml_encodings(here: Path, encoding: str) -> None:
    Path("a.xml").write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><name>大</name>'.encode(encoding))
    assert read_xml("a.xml").text == "大"


def test_more_xml_encodings(here: Path) -> None:
    Path("a.xml").write_bytes("<name>大</name>".encode("utf-8-sig"))
    assert read_xml("a.xml").text == "大"
    Path("a.xml").write_bytes('<?xml version="1.0" encoding="gb2312"?><name>镕</name>'.encode("gbk"))  # not in GB 2312
    assert read_xml("a.xml").text == "镕"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<a><b></a>", "broken XML: mismatched tag: line 1, column 8"),
        (b'<?xml version="1.0" encoding="nope"?><a/>', "unknown encoding 'nope': save it as UTF-8"),
        (b'<?xml version="1.0" encoding="zlib"?><a/>', "unknown encoding 'zlib': save it as UTF-8"),
        (b'<?xml version="1.0" encoding="punycode"?><a/>', "unknown encoding 'punycode': save it as UTF-8"),
        (b'<?xml version="1.0" encoding="unicode_escape"?><a/>', "unknown encoding 'unicode_escape': save it as UTF-8"),
        (b'<?xml version="1.0" encoding="utf-16"?><a/>', "unknown encoding 'utf-16': save it as UTF-8"),
        (b'<?xml version="1.0" encoding="ascii"?><a>\xff</a>', "its bytes are not 'ascii', which it declares"),
        (b"<a>\xff</a>", "not a text file (byte 3 is not UTF-8): save it as UTF-8"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "XML that defines entities is not read: write their text out"),
        (b"<a>" * 65 + b"</a>" * 65, "expected at most 64 levels of elements, got more"),
    ],
)
def test_xml_that_is_refused(here: Path, content: bytes, problem: str) -> None:
    Path("a.xml").write_bytes(content)
    assert refused(lambda: read_xml("a.xml")).startswith(f"a.xml: {problem}")


def test_lines(here: Path) -> None:
    Path("a.txt").write_bytes("\ufeff0 1\r\n\r\n  \n2 \u2028 3\r4\n".encode())
    assert read_lines("a.txt") == ["0 1", "2 \u2028 3", "4"]
    Path("a.txt").write_bytes("0 1\n".encode("utf-16"))
    assert read_lines("a.txt") == ["0 1"]
    Path("a.txt").write_bytes(b"0\n1\0\n")
    assert refused(lambda: read_lines("a.txt")) == "a.txt: line 2 holds a NUL byte: not a file of labels, or damaged"
    Path("a.txt").write_bytes(b"0\n" + b"1" * (1 << 20) + b"1\n")
    assert "line 2 is longer than 1048576 characters" in refused(lambda: read_lines("a.txt"))
    Path("a.txt").write_bytes(b"abc\xff")
    assert refused(lambda: read_lines("a.txt")) == "a.txt: not a text file (byte 3 is not UTF-8): save it as UTF-8"


def test_tables(here: Path) -> None:
    Path("a.csv").write_text('epoch,"AP, all"\n1,0.5\n2,"0,6"\n')
    assert read_table("a.csv", columns=("epoch",)) == [
        {"epoch": "1", "AP, all": "0.5"},
        {"epoch": "2", "AP, all": "0,6"},
    ]
    for text, problem in {
        "": "the column epoch is missing, the header is []",
        "step,AP\n": "the column epoch is missing, the header is ['step', 'AP']",
        "epoch,epoch\n": "two columns have the same name, the header is ['epoch', 'epoch']",
        "epoch,AP\n1\n": "row 2 has 1 cells, expected 2",
        "epoch\n" + "1" * 200_000: "not a CSV table: field larger than field limit (131072)",
    }.items():
        Path("a.csv").write_text(text)
        assert refused(lambda: read_table("a.csv", columns=("epoch",))) == f"a.csv: {problem}"


def test_a_zip_entry() -> None:
    archive = READERS["read_entry"].good
    entry = read_entry(archive, ENTRY, source="x.tflite")
    assert archive[: entry.offset] == b"\x1c\0\0\0TFL3 a model"
    assert json.loads(entry.content)["schema_version"] == 1
    assert refused(lambda: read_entry(archive, "other", source="x.tflite", fix="export again")) == (
        "x.tflite: expected one entry 'other', got 0: export again"
    )
    assert "no small ZIP archive at its end" in refused(lambda: read_entry(archive[:-30], ENTRY, source="x.tflite"))


def test_a_safetensors_header(here: Path) -> None:
    Path("n.safetensors").write_bytes(READERS["read_header"].good)
    header = read_header("n.safetensors")
    assert header.tensors["weight"] == TensorEntry(
        dtype="F32",
        shape=(4, 2),
        begin=header.tensors["weight"].begin,
        end=header.tensors["weight"].begin + 32,
    )
    assert json.loads(header.metadata["tinydet"])["names"] == ["car", "person"]


def changed_header(**tensors: Any) -> bytes:
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "its header has 0 bytes, the file 0"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "its header has 1099511627776 bytes, the file 10"),
        (
            changed_header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})[:-1],
            "its tensors have 8 bytes, the file 7",
        ),
        (changed_header(a={"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}), "overlap or leave a gap at byte 0"),
        (
            changed_header(a={"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}),
            "the tensor 'a' is {'data_offsets': ",
        ),
        (changed_header(a={"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}), "the tensor 'a' is "),
        (changed_header(a={"dtype": "F32", "shape": [2] * 99, "data_offsets": [0, 8]}), "the tensor 'a' is "),
        (changed_header(a={"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}), "the tensor 'a' is "),
        (changed_header(a=5), "the tensor 'a' is 5"),
        (changed_header(__metadata__={"a": 1}), "__metadata__ is {'a': 1}, expected texts by key"),
        (
            changed_header(a={"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}),
            "has the type F64, expected F32 or I8",
        ),
    ],
)
def test_a_safetensors_header_that_is_refused(here: Path, content: bytes, problem: str) -> None:
    Path("n.safetensors").write_bytes(content)
    line = refused(lambda: read_header("n.safetensors", dtypes=("F32", "I8"), fix="copy it again"))
    assert line.startswith("checkpoint n.safetensors")
    assert problem in line
    assert line.endswith(": copy it again")
