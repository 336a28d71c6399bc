"""The nearest right name to one that was given: a label, a column, a verb, a key, a run, a file; one way for all of them."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_MOST_LISTED = 20
_SURELY = 0.85  # of letters in common, in their order
_MOST_FILES = 10_000  # of a folder, that are looked at
_URL = re.compile(r"(?:^|[\\/])[A-Za-z][A-Za-z0-9+.-]+:[\\/]")  # a scheme has two letters or more, a drive has one


def nearest(given: object, known: Iterable[str], called: Mapping[str, str] | None = None) -> str | None:
    """The known name that was most likely meant; ``None`` where none is like it.

    Capitals, and what joins words, make no difference.

    Args:
        given: What was given.
        known: The names that there are.
        called: What others call names.
    """
    plain = {_plain(name): name for name in reversed(tuple(known))}
    text = _plain(given)
    if (meant := (called or {}).get(text)) in plain.values():
        return meant
    longer = [name for name in plain if name.startswith(f"{text}.")]  # a file's name without its ending
    found = longer if len(longer) == 1 else difflib.get_close_matches(text, plain, n=1)
    return plain[found[0]] if found else None


def looks_like(given: str, name: str) -> bool:
    """Whether a word is another one mistyped: ``pateint`` and ``patients`` are ``patient``, ``patientage`` is not."""
    alike = difflib.SequenceMatcher(None, given, name).ratio() >= _SURELY
    return alike or sorted(given) == sorted(name)


def did_you_mean(given: object, known: Iterable[str], called: Mapping[str, str] | None = None) -> str:
    """``Did you mean 'x'? ``: the beginning of a remedy; empty where none is like it. Arguments as for :func:`nearest`."""
    name = nearest(given, known, called)
    return "" if name is None else f"Did you mean '{name}'? "


def one_of(given: object, known: Iterable[str], what: str = "Allowed", called: Mapping[str, str] | None = None) -> str:
    """The remedy where a name must be one of some: the nearest, and all of them. Arguments as for :func:`nearest`."""
    names = tuple(known)
    more = " …" if len(names) > _MOST_LISTED else ""
    return f"{did_you_mean(given, names, called)}{what}: {', '.join(names[:_MOST_LISTED])}{more}"


def no_url(path: Path) -> str:
    """The remedy where nothing is at a path since it is a URL; empty where it is none."""
    return "URLs are not read: download it first, and give the path of the file" if _URL.search(str(path)) else ""


def beside(path: Path, endings: tuple[str, ...] = ("",)) -> str:
    """The remedy where nothing is at a path: the nearest name that is there, and how far the path leads.

    Args:
        path: The path.
        endings: Those of the files that can be meant.
    """
    if remedy := no_url(path):
        return remedy
    there = next((folder for folder in path.parents if folder.is_dir()), Path(path.anchor))
    missing = path.relative_to(there).parts[0]
    if (there / missing).is_symlink():
        return f"{there / missing} is a link that leads nowhere"
    try:
        names = [one.name for one in itertools.islice(there.iterdir(), _MOST_FILES) if one.name.endswith(endings)]
    except OSError:
        return f"The folder {there.absolute()} may not be read"
    if set(missing) & set("*?") or fnmatch.filter(names, missing):
        return f"Patterns as '{missing}' are not expanded: give the folder {there}, or a file by its name"
    name = nearest(missing, sorted(names))
    hint = "" if name is None else f"Did you mean '{there / name}'? "
    return f"{hint}There is a folder {there.absolute()}, and no '{missing}' in it"


def _plain(name: object) -> str:
    return str(name).casefold().replace("-", "_").replace(" ", "_")
