"""Prose of Markdown at the width of the code: paragraphs with a line that is too long are filled anew, tables and code stay.

Usage: python3 scripts/wrapping.py PAGE.md …
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

WIDTH = 119
_FENCE = re.compile(r"\s*(`{3,})")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_WORD = re.compile(r"(?:`+[^`]*`+|[^\s`])+")  # code stays on one line
_MARK = re.compile(r"[-+*]|\d+[.)]|#{1,6}|[>|=].*|-+|<!--.*")  # what would be another thing at the beginning of a line


def wrapped(text: str) -> str:
    """The same text, in lines of no more than :data:`WIDTH` signs where words allow it."""
    lines: list[str] = []
    paragraph: list[str] = []
    fence = ""
    for line in [*text.split("\n"), ""]:
        mark = _FENCE.match(line)
        alone = bool(fence or mark) or not line.strip() or line.lstrip().startswith(("|", "#", "<", ">"))
        if alone or _ITEM.match(line):
            lines += _filled(paragraph)
            paragraph = []
        (lines if alone else paragraph).append(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
    return "\n".join(lines[:-1])


def _filled(paragraph: list[str]) -> list[str]:
    if all(len(line) <= WIDTH for line in paragraph):
        return paragraph
    item = _ITEM.match(paragraph[0])
    begin = item[0] if item else ""
    margin = _margin(paragraph[1]) if len(paragraph) > 1 else " " * len(begin) or _margin(paragraph[0])
    first, *words = _WORD.findall(" ".join(paragraph)[len(begin) :])
    lines = [(begin or _margin(paragraph[0])) + first]
    for word in words:
        if len(lines[-1]) + len(word) < WIDTH or _MARK.fullmatch(word):
            lines[-1] += f" {word}"
        else:
            lines.append(margin + word)
    return lines


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page.write_text(wrapped(page.read_text(encoding="utf-8")), encoding="utf-8")
