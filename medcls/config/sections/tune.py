"""What a config file may say of the search for settings, which ``medcls tune`` makes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from medcls.config.sections.section import Count, Section, Span

Value = bool | int | float | str | None
"""What a key can be given in a search."""
SECTIONS = ("train", "model", "augmentation")
"""Whose keys may be searched: all others change the cases, the images or the metrics themselves."""


class Range(Section):
    """Numbers to choose from; whole ones where both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="Choose evenly among orders of magnitude.")


class TuneSettings(Section):
    """The search of `medcls tune`: what it may vary, and how long; a training does not read it."""

    space: dict[str, Range | list[Value]] = Field(
        {},
        description="Keys of train, model or augmentation, and what they may be: a list of values, or {low, high, log}: "
        "{train.learning_rate: {low: 1e-5, high: 1e-2, log: true}, model.name: [resnet10, resnet18]}.",
    )
    trials: Count = Field(20, description="How many settings are tried.")
    time: Span | None = Field(
        None, description="No trial begins after all before it took so long: 20min, 2h, overnight; null: no limit."
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(
        3, description="Folds within the training patients, on which each setting is judged."
    )
    searched: str | None = Field(
        None, description="Written by 'medcls tune': the folder of the search that chose the settings of this config."
    )

    @field_validator("space")
    @classmethod
    def _can_be_searched(cls, value: dict[str, Range | list[Value]]) -> dict[str, Range | list[Value]]:
        for key, choices in value.items():
            section, dot, name = key.partition(".")
            if section not in SECTIONS or not dot or not name:
                raise ValueError(
                    f"'{key}' cannot be searched: give keys of {', '.join(SECTIONS)}, as train.learning_rate"
                )
            if isinstance(choices, Range) and choices.low >= choices.high:
                raise ValueError(f"'{key}': low must be less than high")
            if isinstance(choices, Range) and choices.log and choices.low <= 0:
                raise ValueError(f"'{key}': with log, low must be more than 0")
            if isinstance(choices, list) and (len(choices) < 2 or any(choices.count(one) > 1 for one in choices)):
                raise ValueError(f"'{key}' needs two values at least, none of them twice")
        return value
