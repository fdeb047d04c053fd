"""XML from outside: bounded in size and depth, without entities, in any encoding that Python knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import MIB, read_bytes
from tinydet.edge.files.text_file import decode

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XML_BYTES = 16 * MIB
"""Largest XML file; the labels of one image have some KB."""
DEEPEST = 64
"""Levels of elements in each other; Pascal VOC has 4."""

_DECLARED = re.compile(rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([^"'>]{1,40})["']""")
_ASCII = b"<?xml version='1.0'?>+/-_.\\x41"
#: Files that say gb2312 often hold characters of its successors, which have the same bytes for the rest.
_SUPERSET = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-1": "cp1252"}


def read_xml(path: Path | str, *, what: str = "labels") -> Element:
    """Read an XML file and return its root.

    Arguments as for `open_file` in `regular_file`.

    Raises:
        InputError: as `open_file`; an unknown encoding, bytes that are not of it, broken XML, an entity definition,
            more than `DEEPEST` levels.
    """
    from xml.etree import ElementTree

    source = printable(path)
    text = _decode(read_bytes(path, what=what, limit_bytes=XML_BYTES), source)
    if "<!ENTITY" in text:
        raise InputError(f"{source}: XML that defines entities is not read: write their text out")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:  # ValueError: a lone surrogate
        raise InputError(f"{source}: broken XML: {printable(error)}") from error
    level = [root]
    for _ in range(DEEPEST):
        level = [child for element in level for child in element]
    if level:
        raise InputError(f"{source}: expected at most {DEEPEST} levels of elements, got more")
    return root


def _decode(content: bytes, source: str) -> str:
    """By the byte-order mark, else by the name in the XML declaration, else UTF-8."""
    import codecs

    declared = _DECLARED.match(content)
    if declared is None or content.startswith(codecs.BOM_UTF8):
        return decode(content, source)
    name = declared[1].decode("ascii", "replace")
    encoding = _encoding(name)
    if encoding is None:
        raise InputError(f"{source}: unknown encoding {shown(name)}: save it as UTF-8")
    try:
        return content.decode(encoding)
    except ValueError as error:
        raise InputError(f"{source}: its bytes are not {shown(name)}, which it declares: save it as UTF-8") from error


def _encoding(name: str) -> str | None:
    """Python's name of an encoding; None if there is none, or one that a declaration in ASCII cannot name.

    Those are UTF-16 without its mark, and punycode and the like, which can take minutes for one file.
    """
    import codecs

    try:
        found = codecs.lookup(name).name
        return _SUPERSET.get(found, found) if _ASCII.decode(found) == _ASCII.decode() else None
    except (LookupError, ValueError):
        return None
