"""Families of networks, a file for each: a new one is its file, and its row in :mod:`medcls.config.network_names`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from medcls import plugins
from medcls.config.network_names import GIVEN, GROUP, SHIPPED
from medcls.networks.family import NetworkFamily
from medcls.networks.given import given_family
from medcls.networks.sources import DIMENSIONS, Source

FAMILIES: Mapping[str, NetworkFamily] = {name: import_module(f"{__name__}.{name}").FAMILY for name in SHIPPED}


def family_of(name: str) -> NetworkFamily:
    """The family that builds the network of a name: shipped, given as an object, or of an installed package.

    Raises:
        UsageError: There is none, or the package that has it is broken.
    """
    for row, names in SHIPPED.items():
        if name in names:
            return FAMILIES[row]
    return given_family() if name == GIVEN else _installed(name)


def published(family: NetworkFamily) -> dict[str, dict[str, Source]]:
    """Named source to network to published file, of a family and of all that are shipped."""
    found: dict[str, dict[str, Source]] = {source: {} for source in DIMENSIONS}
    for one in (*FAMILIES.values(), family):
        for source, files in one.weights.items():
            found[source].update(files)
    return found


def _installed(name: str) -> NetworkFamily:
    found = plugins.load(GROUP, name)
    if callable(found):
        found = found()
    if isinstance(found, NetworkFamily) and name in found.names:
        return found
    raise plugins.broken(plugins.installed(GROUP)[name], f"it gives no NetworkFamily with '{name}' among its names")
