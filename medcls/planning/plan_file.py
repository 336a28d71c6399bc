"""plan.yaml: a plan as a file that people read and edit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from medcls.bounded import read_bounded
from medcls.config.durations import span_of
from medcls.config.yaml_values import MOST_BYTES, read_yaml
from medcls.errors import ConfigError
from medcls.files import write_text
from medcls.planning.choice import Choice, Plan

PLAN_FILE = "plan.yaml"
_HEAD = "# Edit a value and give the file back: medcls train --config C --set plan.file=plan.yaml. What the config says wins.\n"


def write_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan, whole or not at all."""
    write_text(path, plan_text(plan))


def plan_text(plan: Plan) -> str:
    """What :func:`write_plan` writes."""
    return _HEAD + yaml.safe_dump(as_document(plan), sort_keys=False, allow_unicode=True, width=120)


def as_document(plan: Plan) -> dict[str, Any]:
    """A plan as plain values."""
    return {
        "budget": span_of(plan.budget),
        **({"expected": _expected(plan)} if plan.seconds else {}),
        **({} if plan.cohort is None else {"cohort": _plain(asdict(plan.cohort))}),
        **({} if plan.machine is None else {"machine": _plain(asdict(plan.machine))}),
        "choices": {
            one.key: {"value": one.value, "why": one.why, **({"said": True} if one.said else {})}
            for one in plan.choices
        },
    }


def read_plan(path: str | os.PathLike[str]) -> tuple[Choice, ...]:
    """The choices of a plan's file, as they stand there; its reasons are not theirs any more where a value was edited.

    Raises:
        ConfigError: It cannot be read, or is no plan.
    """
    where = str(path)
    try:
        read = read_yaml(read_bounded(Path(path), MOST_BYTES).decode("utf-8-sig"), where).value
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the plan cannot be read", where=where, remedy="Write one with: medcls plan --config C"
        ) from error
    choices = read.get("choices") if isinstance(read, Mapping) else None
    if not isinstance(choices, Mapping) or not all(
        isinstance(one, Mapping) and "value" in one for one in choices.values()
    ):
        raise ConfigError("this is no plan", where=where, remedy="Write one with: medcls plan --config C")
    why = f"as {Path(path).name} says"
    return tuple(Choice(str(key), one["value"], why) for key, one in choices.items() if not one.get("said", False))


def _expected(plan: Plan) -> dict[str, Any]:
    return {"time": span_of(plan.expected), **{name: round(one, 1) for name, one in plan.seconds.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value
