"""Text from outside that is shown to people: control characters escaped, credentials masked."""

from __future__ import annotations

import re
import reprlib
from contextlib import suppress

LONGEST_SHOWN = 80
"""Characters of a value in an error message."""
_LONGEST_WORD = 300
"""Characters of a path in a message; people's paths are shorter."""
_LONGEST_MESSAGE = 2000
_JOINERS = "\u200c\u200d"
"""Invisible, but part of Persian words and of emoji."""
_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MASK = "***"
#: Greedy: a password may hold an @, and what no address may hold. `host:8080/` is a port. Bounded: else quadratic.
_USER_INFO = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]{1,40}://[^\s:/?#@]{0,400}):(?![0-9]{1,5}/)\S{0,400}@")
_SECRET_NAMES = "pass|passwd|password|pwd|pw|user-pw|token|secret|api[_-]?key|access[_-]?key|auth"
_SECRET_FIELD = re.compile(
    rf"""\b((?:{_SECRET_NAMES})=)("[^"]{{0,400}}"|'[^']{{0,400}}'|[^\s&;#'"]{{1,400}})""", re.IGNORECASE
)


def printable(text: object) -> str:
    """Escape everything in `str(text)` that a terminal, a JSON reader or a font cannot show as one harmless character.

    Escaped as in Python (`\\x1b`, `\\u202e`, `\\ud800`): control characters, line breaks, bidirectional overrides and
    other invisible characters, lone surrogates (bytes of a file name that is not UTF-8), unassigned code points.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(character if _is_shown(character) else _escape(character) for character in text)


def is_printable(text: str) -> bool:
    """Whether `printable` changes nothing."""
    return text.isprintable() or all(map(_is_shown, text))


def shown(value: object, limit: int = LONGEST_SHOWN) -> str:
    """`value` for an error message: like repr, printable, at most `limit` characters, whatever its size or depth."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print more than 4300 digits
        return f"a whole number of about {value.bit_length() * 3 // 10} digits"
    text = f"a {type(value).__name__} too deep to show"
    with suppress(ValueError, RecursionError):
        text = printable(_short.repr(value))
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def without_credentials(text: str) -> str:
    """Mask passwords in addresses: `rtsp://admin:***@host`, `?pwd=***`, GStreamer's `user-pw=***`; the rest stays."""
    return _SECRET_FIELD.sub(rf"\g<1>{_MASK}", _USER_INFO.sub(rf"\g<1>:{_MASK}@", text))


def shortened(message: str) -> str:
    """Leave out the middle of words (paths, addresses) over 300 characters, and of a message over 2000."""
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _both_ends(word[0], _LONGEST_WORD), message)
    return _both_ends(words, _LONGEST_MESSAGE)


def _both_ends(text: str, limit: int) -> str:
    half = (limit - 3) // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def _is_shown(character: str) -> bool:
    # Spaces other than U+0020 count as not printable in Python, and are harmless.
    return (
        character.isprintable()
        or character in _JOINERS
        or (character.isspace() and character > "\x9f" and character not in "\u2028\u2029")
    )


def _escape(character: str) -> str:
    code = ord(character)
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED_ESCAPES.get(character, short)


_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, LONGEST_SHOWN, LONGEST_SHOWN
_short.maxlist = _short.maxtuple = _short.maxdict = 8
