"""Every file of pretrained weights that has a name: whose, for which network, and whether it is here and as published."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from medcls.config.site_weights import site_weights
from medcls.errors import UsageError, WeightsError
from medcls.nearest import one_of
from medcls.networks.families import FAMILIES, published
from medcls.networks.family import NetworkFamily
from medcls.networks.pretrained.places import Found, fetch, find
from medcls.networks.pretrained.tensor_files import read_whole
from medcls.networks.sources import DIMENSIONS, Source, as_source
from medcls.progress import SILENT, Progress


@dataclass(frozen=True)
class Known:
    """One file.

    Attributes:
        named: The source, as ``model.weights`` calls it.
        network: As ``model.name`` calls it.
        dimensions: 2, 3 or both.
        source: What was published.
    """

    named: str
    network: str
    dimensions: tuple[int, ...]
    source: Source

    @property
    def name(self) -> str:
        """``SOURCE/NETWORK``."""
        return f"{self.named}/{self.network}"


@dataclass(frozen=True)
class Checked:
    """A file that is here, and its hash.

    Attributes:
        known: Which.
        found: Where it is.
        sha256: Of the file that is here; empty: it cannot be read.
        fault: In what it differs from the published file, in one line; empty: in nothing that is known.
    """

    known: Known
    found: Found
    sha256: str
    fault: str = ""


def known_weights(family: NetworkFamily | None = None) -> tuple[Known, ...]:
    """All that are known by a name, the better of one network first: those of the site's own folder come before others.

    Args:
        family: One that is not shipped, whose files are known too.
    """
    own = [Known(one.name, one.network, (one.dimensions,), as_source(one)) for one in site_weights()]
    files = published(family or next(iter(FAMILIES.values())))
    return (
        *own,
        *(Known(named, name, DIMENSIONS[named], one) for named in DIMENSIONS for name, one in files[named].items()),
    )


def best_here(network: str, dimensions: int, family: NetworkFamily) -> Known | None:
    """The best weights for a network that are on this machine; ``None`` where there are none."""
    fitting = (one for one in known_weights(family) if one.network == network and dimensions in one.dimensions)
    return next((one for one in fitting if find(one.source) is not None), None)


def asked_for(names: Sequence[str]) -> tuple[Known, ...]:
    """The files of names: those of a network, or one of it (``SOURCE/NETWORK``).

    Raises:
        UsageError: There is no such file.
    """
    known = known_weights()
    for name in names:
        if name not in (called := {one.name for one in known} | {one.network for one in known}):
            raise UsageError(f"no weights are called '{name}'", remedy=one_of(name, sorted(called), "There are"))
    return tuple(one for one in known if one.name in names or one.network in names)


def get(names: Sequence[str], progress: Progress = SILENT) -> tuple[Checked, ...]:
    """Have files of these names on this machine, downloaded into the weights folder where they are nowhere yet.

    Raises:
        UsageError: There is no such file.
        WeightsError: One cannot be downloaded, or what came is not what was published.
    """
    return tuple(_checked(one, fetch(one.source, progress=progress)) for one in asked_for(names))


def verify(names: Sequence[str] = (), progress: Progress = SILENT) -> tuple[Checked, ...]:
    """Hash what is on this machine, of these names or of all.

    Raises:
        UsageError: There is no such file.
    """
    here = [(one, found) for one in (asked_for(names) if names else known_weights()) if (found := find(one.source))]
    return tuple(_checked(one, found) for one, found in progress.track(here, "Reading weights"))


def _checked(known: Known, found: Found) -> Checked:
    try:
        sha256 = hashlib.sha256(read_whole(*found.paths)).hexdigest()
    except WeightsError as error:
        return Checked(known, found, "", str(error))
    if sha256.startswith(known.source.sha256):
        return Checked(known, found, sha256)
    where, published = ", ".join(map(str, found.paths)), known.source.sha256[:16]
    return Checked(
        known, found, sha256, f"{where}: its SHA-256 is {sha256[:16]}…, and that of {known.name} {published}…"
    )
