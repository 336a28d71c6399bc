"""What a config file may say of the plan: of what medcls chooses where the config leaves it open."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from medcls.config.durations import seconds_of
from medcls.config.sections.section import Section, Span


class PlanSettings(Section):
    """What chooses the keys that the config leaves open."""

    use: bool = Field(
        True,
        description="Choose the keys that are not set by the cohort and the machine (medcls plan shows how); false: take their "
        "defaults.",
    )
    budget: Span = Field(
        "2h", description="The time that reading, training and report may take together: 20min, 2h, overnight."
    )
    file: Path | None = Field(
        None, description="A plan that medcls plan wrote, edited or not, in the place of a new one."
    )

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return seconds_of(self.budget)
