"""What a config file may say of an ensemble."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from medcls.config.network_names import NetworkName
from medcls.config.sections.section import Section, each_once


class EnsembleSettings(Section):
    """Several classifiers trained on the same cases, whose probabilities are averaged."""

    seeds: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="How often each network is trained, with the run's seed and those that follow."
    )
    networks: list[NetworkName] = Field([], description="Networks in place of model.name.")

    joined: list[str] = Field(
        [], description="Written by 'medcls join': the finished runs that were joined. Nothing can be trained by it."
    )

    @field_validator("networks")
    @classmethod
    def _each_network_once(cls, value: list[str]) -> list[str]:
        return each_once(value)

    @property
    def members(self) -> int:
        """How many trainings it takes."""
        return self.seeds * max(1, len(self.networks))

    @property
    def wanted(self) -> bool:
        """Whether there is more than one member, or another network than model.name."""
        return self.members > 1 or bool(self.networks)
