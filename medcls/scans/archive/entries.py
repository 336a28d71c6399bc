"""What an archive holds: entries, the names they get, and why some cannot be read."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medcls.errors import ScanRefused
from medcls.scans.archive.walk import is_hidden
from medcls.scans.core.limits import MAX_VOXELS
from medcls.scans.core.refusals import RefusalCode, refusal

MAX_MEMBERS = 2**18
"""Members of one archive: some twenty-five times the largest study."""

MAX_MEMBER_BYTES = 2 * MAX_VOXELS
"""Bytes of one member."""

FREE_OF_RATIO = 2**30
"""Unpacked bytes from which they must be plausible: whatever is packed better than deflate can is a trap."""

MAX_NAME_CHARACTERS = 256 * MAX_MEMBERS
"""Characters of all names together: far more than studies have."""

_LONGEST_PART = 200
_LONGEST_NAME = 1_000
_DEEPEST = 40
_PLAIN = re.compile(r"[\w-][\w.-]{,40}(?:/[\w-][\w.-]{,40}){,4}")  # names that need no second look: nearly all
_BROKEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Problem:
    """Why a member cannot be read.

    Attributes:
        code: The code it is refused with.
        reason: Why, in words.
        remedy: What the user can do; empty for that of the code.
    """

    code: RefusalCode
    reason: str
    remedy: str = ""

    def error(self, where: object) -> ScanRefused:
        """The refusal of the member at ``where``."""
        return refusal(self.code, self.reason, where=where, remedy=self.remedy)


AS_FILE = "Put the file itself in its place"
ENCRYPTED = Problem(RefusalCode.UNSUPPORTED, "the archive keeps it encrypted", "Make the archive without a password")
LINK = Problem(RefusalCode.UNSUPPORTED, "a link, which is not followed inside an archive", AS_FILE)
DEVICE = Problem(RefusalCode.UNREADABLE, "this is no regular file", AS_FILE)
SPARSE = Problem(RefusalCode.UNSUPPORTED, "stored as a sparse file", "Make the archive without the option for them")
TOO_LARGE = Problem(RefusalCode.TOO_LARGE, "the declared size is too large")
FALSE_SIZE = Problem(RefusalCode.DAMAGED, "the declared size cannot be true")
FULL_FOLDER = Problem(RefusalCode.DAMAGED, "a folder that holds data")


class Entry(NamedTuple):
    """One member, as the index of an archive keeps it.

    Attributes:
        name: Its name, not yet made safe; once indexed, the key it is kept under is the safe one.
        size: Unpacked bytes, as declared.
        offset: Where its header (zip) or its data (tar) begin, bytes.
        problem: Why it cannot be read; ``None`` when it can.
        packed: Packed bytes, zip only.
        method: Compression method, zip only.
        crc: CRC-32 of the unpacked bytes, zip only.
        end: Where the next header begins, zip only.
    """

    name: str
    size: int
    offset: int
    problem: Problem | None = None
    packed: int = 0
    method: int = 0
    crc: int = 0
    end: int = 0


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    Attributes:
        path: Virtual path: the archive's, then the member's.
        name: The member's part of it, with forward slashes; safe to join to any path and to print.
        size: Bytes, as declared.
        problem: Why it cannot be read; opening it raises the refusal of this problem. ``None`` when nothing is known
            against it.
    """

    path: Path
    name: str
    size: int
    problem: Problem | None = None

    def in_hidden_folder(self, below: int = 0) -> bool:
        """Whether a folder of the archive that a search passes over holds it, the outermost ``below`` folders aside."""
        return any(map(is_hidden, self.name.split("/")[below:-1]))


def index_of(entries: Iterable[Entry], where: object) -> dict[str, Entry]:
    """Entries by safe, distinct names, in the archive's order.

    Raises:
        ScanRefused: ``too-large`` beyond :data:`MAX_MEMBERS` or :data:`MAX_NAME_CHARACTERS`.
    """
    index: dict[str, Entry] = {}
    times: dict[str, int] = {}
    characters = 0
    for entry in entries:
        name = _distinct(safe_name(entry.name), index, times)
        characters += len(name)
        if len(index) >= MAX_MEMBERS or characters > MAX_NAME_CHARACTERS:
            raise refusal(RefusalCode.TOO_LARGE, "the archive holds too many files", where=where)
        index[name] = entry._replace(name="")
    return index


def safe_name(name: str) -> str:
    """A relative name with forward slashes that leaves no folder and holds no control character.

    ``..`` and empty parts are dropped, the colon of a drive and characters that are not shown become ``_``, long parts
    and deep folders are shortened by a hash. The same name always gives the same answer.
    """
    if _PLAIN.fullmatch(name):
        return name
    if not name.isprintable():
        name = "".join("_" if unicodedata.category(letter) in _BROKEN else letter for letter in name)
    parts = [_shortened(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        return "unnamed"
    parts[0] = re.sub(r"^(.):", r"\1_", parts[0])
    short = "/".join(parts)
    if len(parts) > _DEEPEST or len(short.encode()) > _LONGEST_NAME:
        return f"deep-{_hash('/'.join(parts[:-1]))}/{parts[-1]}"
    return short


def _shortened(part: str) -> str:
    if len(part) <= _LONGEST_PART // 4 or len(part.encode()) <= _LONGEST_PART:
        return part
    stem, dot, ending = part.rpartition(".")
    tail = dot + ending if stem and len(ending) <= 8 else ""
    # Four bytes a character at most, so that a quarter of the characters always fits.
    return f"{part[: _LONGEST_PART // 4 - 16]}~{_hash(part)}{tail}"


def _distinct(name: str, taken: dict[str, Entry], times: dict[str, int]) -> str:
    """``name``, or with ``~2``, ``~3`` … before its ending when it is taken."""
    if name not in taken:
        return name
    folder, slash, last = name.rpartition("/")
    stem, dot, ending = last.rpartition(".")
    if not stem:
        stem, dot, ending = last, "", ""
    number = times.get(name, 1)
    while True:
        number += 1
        other = f"{folder}{slash}{stem}~{number}{dot}{ending}"
        if other not in taken:
            times[name] = number
            return other


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
