"""Names of scans as a person is shown them: without identifiers, each once, and in text that every file can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from medcls.privacy import Pseudonyms, masked_name
from medcls.scans.source import Found


def shown_names(found: Found, masks: Pseudonyms) -> list[str]:
    """Names of scans, then of refusals, without identifiers, each once.

    A picture, or a file that is refused, may not say whose it is. Where a folder's name was an identifier of another scan
    it is one there too.
    """
    items = [(scan.name, scan.identity) for scan in found.scans]
    items += [(item.name, item.identity) for item in found.refused]
    names = [masked_name(name, identity, masks) for name, identity in items]
    known = dict(pair for item, name in zip(items, names, strict=True) for pair in _changed(item[0], name))
    taken: Counter[str] = Counter()
    shown = []
    for (_, identity), masked in zip(items, names, strict=True):
        name = writable(masked if identity else "/".join(_known(part, known) for part in masked.split("/")))
        taken[name] += 1
        shown.append(name if taken[name] == 1 else f"{name}~{taken[name]}")
    return shown


def _changed(name: str, masked: str) -> Iterable[tuple[str, str]]:
    pairs = zip(name.split("/"), masked.split("/"), strict=True)
    return ((part.partition("#")[0], other.partition("#")[0]) for part, other in pairs if part != other)


def _known(part: str, known: Mapping[str, str]) -> str:
    base, sign, tail = part.partition("#")
    return known.get(base, base) + sign + tail


def writable(text: str) -> str:
    """Text on one line that can be written as UTF-8: names on disk may hold control characters, and bytes that are none."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
