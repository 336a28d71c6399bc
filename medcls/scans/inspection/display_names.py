"""Names of scans as a person is shown them: without identifiers, each once, and in text that every file can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from medcls.display import escaped
from medcls.privacy import Pseudonyms
from medcls.scans.core.source import Found
from medcls.scans.inspection.masked_names import KnownPatients, masked_name


def shown_names(found: Found, masks: Pseudonyms, among: Found) -> list[str]:
    """Names of scans, then of refusals, without identifiers, each once.

    A picture, or a file that is refused, may not say whose it is, and a scan may be in the folder of another patient. An
    identifier of anybody who is known is therefore none to be shown in any name, and a folder whose name was an identifier
    of one scan is one for all.

    Args:
        found: What is named.
        masks: Where pseudonyms come from.
        among: Everything that the search found, whose patients are known.
    """
    items = _identities(found)
    patients = KnownPatients(identity for _, identity in _identities(among))
    names = [masked_name(name, identity, masks, patients) for name, identity in items]
    known = dict(pair for item, name in zip(items, names, strict=True) for pair in _changed(item[0], name))
    taken: Counter[str] = Counter()
    shown = []
    for masked in names:
        name = escaped("/".join(_known(part, known) for part in masked.split("/")))
        taken[name] += 1
        shown.append(name if taken[name] == 1 else f"{name}~{taken[name]}")
    return shown


def _identities(found: Found) -> list[tuple[str, Mapping[str, str]]]:
    return [(scan.name, scan.identity) for scan in found.scans] + [(item.name, item.identity) for item in found.refused]


def _changed(name: str, masked: str) -> Iterable[tuple[str, str]]:
    pairs = zip(name.split("/"), masked.split("/"), strict=True)
    return ((part.partition("#")[0], other.partition("#")[0]) for part, other in pairs if part != other)


def _known(part: str, known: Mapping[str, str]) -> str:
    base, sign, tail = part.partition("#")
    return known.get(base, base) + sign + tail
