"""Numbers, names and texts from outside."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.names_inside import check_name
from tinydet.edge.files.numbers import Range, finite, flag, in_range, whole
from tinydet.edge.files.printable import is_printable, printable, shown, without_credentials


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), (-1.5, -1.5), ("1.5", 1.5), (" .5e1 ", 5.0), ("+7", 7.0)])
def test_finite(value: object, number: float) -> None:
    assert finite(value, "--score") == number


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("nan", "'nan'"),
        ("1_0", "'1_0'"),
        ("٣", "'٣'"),
        ("1e999", "'1e999'"),
        (float("-inf"), "-inf"),
        (True, "True"),
        (None, "None"),
        ([1], "[1]"),
        pytest.param(10**5000, "a whole number of about 4983 digits", id="5000 digits"),
    ],
)
def test_what_is_not_finite(value: object, seen: str) -> None:
    with pytest.raises(InputError) as caught:
        finite(value, "--score")
    assert str(caught.value) == f"--score: expected a finite number, got {seen}"


def test_in_range() -> None:
    assert in_range("0.5", 0, 1, "--score") == 0.5
    with pytest.raises(InputError, match=r"^--score: expected 0 to 1, got 5$"):
        in_range(5, 0, 1, "--score")


def test_how_a_range_is_said() -> None:
    ranges = [Range(1, 64), Range(1), Range(high=0.5), Range(0, above=True), Range(0, 1, above=True)]
    assert [str(one) for one in ranges] == ["1 to 64", "1 or more", "0.5 or less", "above 0", "above 0, up to 1"]
    assert [one.holds(float("nan")) for one in ranges] == [False] * 5
    assert [one.holds(0) for one in ranges] == [False, False, True, False, False]


@pytest.mark.parametrize(("value", "number"), [(3, 3), (3.0, 3), ("3", 3), ("3.00", 3), (" 3 ", 3)])
def test_whole(value: object, number: int) -> None:
    assert whole(value, "--threads", 1, 1024) == number


@pytest.mark.parametrize("value", [3.5, "3.5", "²", True, None, 0, 1025, "9" * 5000, 10**30, float("inf"), "1e3"])
def test_what_is_not_whole_or_out_of_range(value: object) -> None:
    with pytest.raises(InputError, match=r"^--threads: expected a whole number, 1 to 1024, got "):
        whole(value, "--threads", 1, 1024)


def test_a_whole_number_without_bounds_has_64_bits() -> None:
    assert whole(2**63 - 1, "id") == 2**63 - 1
    with pytest.raises(InputError, match=r"^id: expected a whole number, "):
        whole(2**63, "id")
    with pytest.raises(InputError, match=r"^id: expected a whole number, got 'x'$"):
        whole("x", "id")


@pytest.mark.parametrize(
    ("value", "truth"), [(0, False), (1, True), ("0", False), (" True ", True), (False, False), (1.0, True)]
)
def test_flag(value: object, truth: bool) -> None:
    assert flag(value, "iscrowd") is truth


@pytest.mark.parametrize("value", [2, "2", "", "maybe", None, [], "²"])
def test_what_is_no_flag(value: object) -> None:
    with pytest.raises(InputError, match=r"^iscrowd: expected true or false, got "):
        flag(value, "iscrowd")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("small-vehicle", "small-vehicle"),
        ("车辆 é, fin", "车辆 é, fin"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("می\u200cشود", "می\u200cشود"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\t\r", r"two\nlines\t\r"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("half \ud800", r"half \ud800"),
        ("line\u2028separator", r"line\u2028separator"),
        ("\U000e0041", r"\U000e0041"),
        ("\x00\x7f\x85", r"\x00\x7f\x85"),
    ],
)
def test_printable(text: str, escaped: str) -> None:
    assert printable(text) == escaped
    assert is_printable(text) is (text == escaped)


def test_a_path_that_is_no_utf_8_is_shown() -> None:
    assert printable(Path("b\udce9.jpg")) == r"b\udce9.jpg"


def test_what_is_shown_is_short() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("x" * 10_000, list(range(10_000)), deep, {"a" * 500: "b" * 500}, 10**6000, b"\0" * 10_000):
        assert len(shown(value)) <= 80


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("rtsp://admin:secret@10.0.0.2:554/live?x=1", "rtsp://admin:***@10.0.0.2:554/live?x=1"),
        ("cannot open rtsp://a:s@c@host/live: gone", "cannot open rtsp://a:***@host/live: gone"),
        (
            "gst:rtspsrc location=rtsp://u:p@h/x user-pw=abc ! y",
            "gst:rtspsrc location=rtsp://u:***@h/x user-pw=*** ! y",
        ),
        ("http://cam/video.cgi?usr=a&pwd=b&z=1", "http://cam/video.cgi?usr=a&pwd=***&z=1"),
        ("cannot open 1rtsp://admin:pa?s/'s@host: gone", "cannot open 1rtsp://admin:***@host: gone"),
        ('gst:x password="two words" ! y', "gst:x password=*** ! y"),
        ("http://host:8080/a@2x.png", "http://host:8080/a@2x.png"),
        ("udp://0.0.0.0:5000", "udp://0.0.0.0:5000"),
        ("keypad=1 compass=2", "keypad=1 compass=2"),
        ("images/a.png", "images/a.png"),
    ],
)
def test_credentials_are_masked(text: str, masked: str) -> None:
    assert without_credentials(text) == masked


@pytest.mark.parametrize("name", ["images/a.png", "images/new.png", "./images/a.png", "b.png"])
def test_names_inside(name: str) -> None:
    assert check_name(name, source="val.json") == PurePosixPath(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "'' is no file name"),
        (" ", "' ' is no file name"),
        (".", "'.' is no file name"),
        ("/etc/passwd", "'/etc/passwd' is absolute"),
        ("C:\\a.png", "is absolute"),
        ("../a.png", "'../a.png' leads out of the folder"),
        ("images/../../a.png", "leads out of the folder"),
        ("..\\a.png", "leads out of the folder"),
        ("a\0.png", r"'a\x00.png' holds a NUL byte"),
        ("x" * 256, "has more than 255 bytes"),
        ("é" * 128, "has more than 255 bytes"),
    ],
)
def test_names_that_lead_elsewhere(name: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        check_name(name, source="val.json")
    assert str(caught.value).startswith("val.json: ")
    assert problem in str(caught.value)
