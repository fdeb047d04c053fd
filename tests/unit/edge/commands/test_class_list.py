from __future__ import annotations

import pytest

from tinydet.edge.commands.class_list import class_list, quoted
from tinydet.edge.errors import InputError


@pytest.mark.parametrize(
    "names", [("car",), ("car", "person"), ('car, small "x"', "Lkw"), ("a,b", "c"), ('"',), ("it's", "größer 车")]
)
def test_any_name_can_be_given(names: tuple[str, ...]) -> None:
    assert class_list(quoted(names)) == names


def test_spaces_after_commas_do_not_count() -> None:
    assert class_list('car, person , "van, small"') == ("car", "person", "van, small")


@pytest.mark.parametrize("text", ["", " ", ",", "a,,b", 'a,"b', '"a"b', "a\nb", "a\0b,"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r'^--classes .* as in car,"van'):
        class_list(text)
