"""Text that may have come from data, as it is shown: in a terminal, in HTML, in Markdown, in pictures.

A label, a file name or a header can hold signs that move the cursor, rename the window, hide a link (ECMA-48, OSC 8), write
from right to left over what stands before them (Unicode TR 36, TR 9), or that nobody sees. Every way out to a reader goes
through here, so that no caller has to think of it.
"""

from __future__ import annotations

import json
from typing import Any

INSTEAD = "\N{REPLACEMENT CHARACTER}"
_NO_BREAK = "\u00a0\u202f\u2009"  # spaces that typesetting needs; harmless, but no printable ones to Python


def one_line(text: object) -> str:
    """A text without signs that steer or hide; the end of a line is one of them."""
    return printable(text, keep="")


def printable(text: object, *, keep: str = "\n") -> str:
    """A text whose control, format, private, unassigned and surrogate signs are replaced, as are the rarer ends of lines.

    Args:
        text: The text.
        keep: Signs that stay all the same.
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(sign if sign.isprintable() or sign in _NO_BREAK or sign in keep else INSTEAD for sign in plain)


def escaped(text: str, *, keep: str = "") -> str:
    """A text whose signs that are not printable are written as Python writes them (``\\x1b``): two texts stay two."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else _python(sign) for sign in text)


def json_shown(value: Any) -> str:
    """A value as JSON that no terminal obeys, and that means the same."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)


def _python(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
