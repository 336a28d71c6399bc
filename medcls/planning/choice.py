"""Choice: one key of the config that was left open, its value, and why; and the plan that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medcls.config import Config, validate_config
from medcls.config.durations import span_of
from medcls.planning.fingerprint import CohortFingerprint
from medcls.planning.machine import Machine

PLANNED = frozenset(
    (
        *("preprocessing.kind", "preprocessing.dimensions", "preprocessing.size"),
        *("model.name", "model.weights", "model.depths", "model.mirror"),
        *("train.method", "train.batch_size", "train.epochs", "train.learning_rate", "train.schedule", "train.balance"),
        *("train.average", "train.patience", "train.time_limit"),
        *("ensemble.networks", "ensemble.seeds"),
    )
)
"""Every key that a plan may choose."""


@dataclass(frozen=True)
class Choice:
    """One key.

    Attributes:
        key: In the config, ``section.name``.
        value: As YAML has it.
        why: The reason, with the figure behind it.
        said: Whether it is what the config says, which wins.
    """

    key: str
    value: Any
    why: str
    said: bool = False


@dataclass(frozen=True)
class Plan:
    """All choices for a cohort and a machine.

    Attributes:
        choices: In the order in which they were made.
        cohort: What they were made by; ``None`` of a plan that was read.
        machine: Where it will be; ``None`` of a plan that was read.
        budget: Seconds that there are.
        seconds: Part of the run to the seconds that it is expected to take.
    """

    choices: tuple[Choice, ...]
    cohort: CohortFingerprint | None
    machine: Machine | None
    budget: float
    seconds: Mapping[str, float]

    @property
    def expected(self) -> float:
        """Seconds that the whole run is expected to take."""
        return sum(self.seconds.values())

    def in_words(self) -> tuple[str, ...]:
        """A line for each choice that the config left open, and one for the time."""
        made = [one for one in self.choices if not one.said]
        lines = [f"    {one.key}: {_shown(one.value)}  ({one.why})" for one in made]
        time = f"; expected to take about {span_of(self.expected)}" if self.seconds else ""
        if self.expected > self.budget:
            time += f", more than the {span_of(self.budget)} that there are: there is nothing left to give up"
        return (f"Plan: {len(made)} keys that the config leaves open{time}", *lines) if made else ()


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return {None: "none", True: "true", False: "false"}.get(value, str(value))


def with_choices(config: Config, choices: Sequence[Choice]) -> Config:
    """The config with every choice that it does not say itself."""
    values = config.model_dump(mode="json", exclude_unset=True)
    for choice in choices:
        if not choice.said:
            section, _, name = choice.key.partition(".")
            values.setdefault(section, {})[name] = choice.value
    return validate_config(values).placed(config.places)


def said_keys(config: Config) -> frozenset[str]:
    """The keys that a config's file, overrides and arguments set: ``section.name``, or a name alone at the top."""
    found: set[str] = set()
    for name in config.model_fields_set:
        value = getattr(config, name)
        inner = getattr(value, "model_fields_set", None)
        found |= {name} if inner is None else {f"{name}.{one}" for one in inner}
    return frozenset(found)


def value_of(config: Config, key: str) -> Any:
    """What a config has for ``section.name``, as YAML has it."""
    section, _, name = key.partition(".")
    return config.model_dump(mode="json")[section][name]
