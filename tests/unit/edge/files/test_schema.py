"""Typed values from parsed documents: what is taken, and what an error says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.schema import Length, Name, Range, Sha256, validated


@dataclass(frozen=True, kw_only=True)
class Level:
    scale: Annotated[float, Range(0, above=True)]
    zero_point: Annotated[int, Range(-128, 127)] = 0


@dataclass(frozen=True, kw_only=True)
class Options:
    threads: int | None = None
    names: tuple[Name, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Needed:
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    schedule: Needed


@dataclass(frozen=True, kw_only=True)
class Model:
    levels: Annotated[tuple[Level, ...], Length(1, 8)]
    input_hw: tuple[int, int] = (64, 64)
    method: Literal["ptq", "qat"] = "ptq"
    options: Options = field(default_factory=Options)
    grids: dict[str, tuple[float, int]] = field(default_factory=dict)
    sha256: Sha256 | None = None
    history: Any = None
    key: int | str = 0
    on: bool = False

    def __post_init__(self) -> None:
        if self.method == "qat" and not self.on:
            raise InputError("method is qat but on is false")


class Row(TypedDict):
    name: str
    times_ms: list[float]


class Table(TypedDict, total=False):
    rows: list[Row]
    by_name: Mapping[str, Row]


GOOD: dict[str, Any] = {"levels": [{"scale": 1}, {"scale": 0.5, "zero_point": -3}]}


def test_what_is_right_comes_back_typed() -> None:
    content = GOOD | {
        "options": {"threads": 2, "names": ["car"]},
        "grids": {"p2": [1, 2]},
        "sha256": "0" * 64,
        "history": {"AP": [0.5, None, "x", True]},
        "key": "a",
    }
    model = validated(content, Model, source="file")
    assert model == Model(
        levels=(Level(scale=1.0), Level(scale=0.5, zero_point=-3)),
        options=Options(threads=2, names=("car",)),
        grids={"p2": (1.0, 2)},
        sha256="0" * 64,
        history={"AP": [0.5, None, "x", True]},
        key="a",
    )
    assert type(model.levels[0].scale) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [{"scale": 1}, {"scale": 1}, {"scale": "x"}]}, "levels[2].scale: expected a number, got 'x'"),
        ({"levels": [{"scal": 1}]}, "unknown field levels[0].scal; did you mean levels[0].scale?"),
        ({"levels": [{}]}, "the field levels[0].scale is missing"),
        ({"levels": []}, "levels: expected 1 to 8 of them, got []"),
        ({"levels": {"scale": 1}}, "levels: expected a list, got {'scale': 1}"),
        ({"levels": [1]}, "levels[0]: expected a table, got 1"),
        ({"levels": [{"scale": 0}]}, "levels[0].scale: expected above 0, got 0"),
        ({"levels": [{"scale": float("nan")}]}, "levels[0].scale: expected a finite number, got nan"),
        (
            {"levels": [{"scale": 10**400}]},
            "levels[0].scale: expected a finite number, got a whole number of about 398",
        ),
        ({"levels": [{"scale": True}]}, "levels[0].scale: expected a number, got True"),
        ({"levels": [{"scale": 1, "zero_point": 128}]}, "levels[0].zero_point: expected -128 to 127, got 128"),
        ({"levels": [{"scale": 1, "zero_point": 1.0}]}, "levels[0].zero_point: expected a whole number, got 1.0"),
        ({"input_hw": [64]}, "input_hw: expected 2 values, got [64]"),
        ({"input_hw": [64, 2**63]}, "input_hw[1]: expected a whole number of 64 bits, got 9223372036854775808"),
        ({"method": "pt"}, "method: expected ptq or qat, got 'pt'"),
        ({"method": "qat"}, "method is qat but on is false"),
        ({"options": {"thread": 1}}, "unknown field options.thread; did you mean options.threads?"),
        ({"options": {"names": ["\x1b[31m"]}}, r"options.names[0]: expected 1 to 200 printable characters, got '\x1b"),
        ({"grids": {"p\n2": [1]}}, r"grids.p\n2: expected 2 values, got [1]"),
        ({"sha256": "0" * 63}, "sha256: expected 64 hexadecimal digits, got '000"),
        ({"history": [{"x": float("inf")}]}, "history[0].x: expected a finite number, got inf"),
        ({"history": "\ud800"}, r"history: expected text without lone surrogates, got '\ud800'"),
        ({"key": 1.5}, "key: expected int or str, got 1.5"),
        ({"on": 1}, "on: expected true or false, got 1"),
        ({"xyz": 1}, "unknown field xyz; known are levels, input_hw"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        validated(GOOD | change, Model, source="n.safetensors", fix="export again")
    assert str(caught.value).startswith(f"n.safetensors: {message}")
    assert str(caught.value).endswith(": export again")


def test_a_missing_table_is_asked_for_its_fields() -> None:
    with pytest.raises(InputError, match=r"^r\.toml: the field schedule\.epochs is missing$"):
        validated({}, Recipe, source="r.toml")


def test_a_typed_dict_comes_back_as_a_dict() -> None:
    content = {"rows": [{"name": "a", "times_ms": [1.0, 2.0]}], "by_name": {"b": {"name": "b", "times_ms": [1]}}}
    table = validated(content, Table, source="file")
    assert table == content
    assert validated({}, Table, source="file") == {}
    with pytest.raises(InputError, match=r"the field rows\[0\]\.name is missing"):
        validated({"rows": [{"times_ms": []}]}, Table, source="file")
    with pytest.raises(InputError, match=r"rows\[0\]\.times_ms\[1\]: expected a finite number, got inf"):
        validated({"rows": [{"name": "a", "times_ms": [0.0, float("inf")]}]}, Table, source="file")
    with pytest.raises(InputError, match=r"unknown field rows\[0\]\.names; did you mean rows\[0\]\.name"):
        validated({"rows": [{"names": "a", "times_ms": []}]}, Table, source="file")
