from __future__ import annotations

import pytest

from tinydet.edge.vendor_tools import jetson_power_mode, run_tool


def test_a_tool_that_is_missing_or_fails_gives_nothing() -> None:
    assert run_tool(["no-such-tool-anywhere"]) is None
    assert run_tool(["false"]) is None
    assert run_tool(["echo", "15W"]) == "15W\n"


@pytest.mark.parametrize(
    ("printed", "mode"),
    [
        ("NV Power Mode: MODE_15W\n2\n", "MODE_15W"),
        ("NV Fan Mode:quiet\nNV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER"),
        ("Error: needs root\n", None),
        (None, None),
    ],
)
def test_power_mode(printed: str | None, mode: str | None) -> None:
    asked = []

    def nvpmodel(arguments: object) -> str | None:
        asked.append(arguments)
        return printed

    assert jetson_power_mode(nvpmodel) == mode
    assert asked == [["nvpmodel", "-q"]]
