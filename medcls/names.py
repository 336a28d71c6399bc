"""Names of files from names in data: whatever a table, a header or an archive calls a thing, its file is where it should.

A name from data is never a path. It can hold ``../``, be absolute, be one that Windows keeps for a printer, be longer than any
file system takes, or differ from another in signs that no file system tells apart.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from medcls.errors import StorageError

_LONGEST = 100  # bytes; file systems take 255, of which endings and a name beside it take some
_FORBIDDEN = re.compile(r"[^\w.#=+-]+")
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any ending, in any case
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_DIGITS = 8
_KEPT = _LONGEST - _DIGITS - len("name_-")


def file_stem(name: str, taken: set[str] | None = None) -> str:
    """What a file is called after something in the data; an ending such as ``.png`` can follow.

    Letters, digits and ``. # = + - _`` stay; anything else becomes ``_``. A name that could not stay as it is ends in eight
    digits of its hash, so that two names never become one.

    Args:
        name: The name, from anywhere.
        taken: Stems that are taken, as this function left them: the new one is added, and distinguished from those that a file
            system takes for the same.
    """
    plain = unicodedata.normalize("NFC", name)
    stem = _FORBIDDEN.sub("_", plain).strip("._-")
    if stem != name or not stem or len(stem.encode("utf-8")) > _LONGEST or _RESERVED.fullmatch(stem):
        digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        kept = stem.encode("utf-8")[-_KEPT:].decode("utf-8", "ignore").lstrip("._-")
        stem = f"{'name_' if _RESERVED.fullmatch(kept) else ''}{kept or 'scan'}-{digits}"
    if taken is None:
        return stem
    unique, number = stem, 2
    while _folded(unique) in taken:
        unique, number = f"{stem}-{number}", number + 1
    taken.add(_folded(unique))
    return unique


def is_plain_name(name: str) -> bool:
    """Whether a name that somebody chose can be that of a folder as it is, on any system."""
    return (
        name == name.strip()
        and name.isprintable()
        and name.rstrip(".") == name != ""
        and not _RESERVED.fullmatch(name)
        and not any(sign in name for sign in '/\\:*?"<>|')
        and len(name.encode("utf-8", "surrogatepass")) <= 2 * _LONGEST
    )


def within(folder: Path, path: Path) -> Path:
    """A path below a folder, as it is given, when no link on the way leads out of the folder.

    Raises:
        StorageError: What would be written there would be elsewhere.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise StorageError(
            f"{path.name} is a link that leads out of {folder.name}",
            where=str(path),
            remedy="Put a folder or file of its own in its place",
        )
    return path


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFKC", stem).casefold()
