"""Places: where each key of a config was given, for faults that only later rooms find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from medcls.errors import ConfigError


@dataclass(frozen=True)
class Places:
    """A file's line, an override or an argument for each key that was given; two are equal, since it is no part of a value.

    Attributes:
        by_key: The places; a key in its parts.
    """

    by_key: Mapping[tuple[str | int, ...], str] = field(default_factory=dict, compare=False)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Within, a fault that names only its key is told with the place of the key, or of the nearest one above it."""
        try:
            yield
        except ConfigError as error:
            key = tuple(error.where.partition(":")[0].split("."))
            places = (self.by_key.get(key[:length]) for length in range(len(key), 0, -1))
            place = next((one for one in places if one is not None), None)
            if place is not None:
                error.where = f"{place}: {error.where}"
            raise
