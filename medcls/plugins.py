"""What other installed distributions add to medcls, by the entry points of their metadata.

A name is looked up among installed distributions alone, so whoever may install a package says what can run; a config file or a
classifier names, and never brings, code.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from medcls.errors import UsageError, in_words


def installed(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group by name; nothing is imported.

    Args:
        group: As ``medcls.networks``.
    """
    return {one.name: one for one in entry_points(group=group)}


def load(group: str, name: str) -> object:
    """Import what an entry point names.

    Args:
        group: As ``medcls.networks``.
        name: One of those that :func:`installed` gives.

    Raises:
        UsageError: Nothing of this name is installed, several distributions have it, or it cannot be imported.
    """
    found = {distribution_of(one): one for one in entry_points(group=group, name=name)}
    if not found:
        raise UsageError(f"no installed package adds '{name}' to {group}", remedy="Install the package that has it")
    if len(found) > 1:
        raise UsageError(f"'{name}' of {group} is in several packages: {', '.join(found)}", remedy="Keep one of them")
    (entry,) = found.values()
    try:
        return entry.load()
    except Exception as error:  # a foreign module can raise anything
        raise broken(entry, in_words(error)) from error


def broken(entry: EntryPoint, why: str) -> UsageError:
    """The error of a plug-in that is not what its group takes."""
    return UsageError(
        f"the plug-in '{entry.name}' of the package {distribution_of(entry)} cannot be used: {why}",
        remedy="Mend the package, or remove it",
    )


def distribution_of(entry: EntryPoint) -> str:
    """Name and version of the distribution that an entry point belongs to."""
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
