"""What a config file may say of the prepared store."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from medcls.config.amounts import bytes_of
from medcls.config.sections.section import Section


class StoreSettings(Section):
    """The prepared store: recipes' results, kept so that they are computed once."""

    folder: Path | None = Field(
        None, description="Where it is; default: the user's cache folder. It holds patient data."
    )
    limit: str | None = Field(
        "50 GB",
        description="How large it may grow, as 50 GB or 800 MB; entries used longest ago make room, those of running runs "
        "stay. null: no limit.",
    )

    @field_validator("limit")
    @classmethod
    def _is_a_size(cls, value: str | None) -> str | None:
        if value is not None:
            bytes_of(value)
        return value

    @property
    def limit_bytes(self) -> int | None:
        """The limit in bytes."""
        return None if self.limit is None else bytes_of(self.limit)
