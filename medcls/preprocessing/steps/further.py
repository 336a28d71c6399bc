"""Steps beyond those of medcls: of installed packages, or given from Python.

Configs and recipes name them, so that nothing in a file can bring code. Each says after which of medcls' own steps it stands,
and of which version its numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable

from medcls import plugins
from medcls.errors import UsageError
from medcls.nearest import one_of
from medcls.preprocessing.steps import STEPS
from medcls.preprocessing.steps.common.step import Step, StepParameters

GROUP = "medcls.steps"
"""Entry points of installed packages: from the name of a step to its class."""
_SHIPPED = {step.name: step for step in STEPS}
_PLACES = {name: place for place, name in enumerate(_SHIPPED)}
_GIVEN: dict[str, type[StepParameters]] = {}


def add_step(step: type[StepParameters]) -> None:
    """Let configs and recipes of this process name a step of one's own.

    No code is saved: whoever loads a classifier whose recipe has the step adds it first. Scans are then prepared in this
    process alone.

    Args:
        step: A class of :class:`StepParameters`, with its name and the step that it stands ``after``.

    Raises:
        UsageError: It is no such class, or its name is taken.
    """
    why = _unfit(step, getattr(step, "name", ""))
    if why:
        raise UsageError(f"the step cannot be used: {why}")
    _GIVEN[step.name] = step


def step_named(name: str) -> type[StepParameters]:
    """The step of a name: of medcls, given from Python, or of an installed package.

    Raises:
        UsageError: There is none, or the package that has it is broken.
    """
    known = _SHIPPED.get(name) or _GIVEN.get(name)
    if known is not None:
        return known
    entry = plugins.installed(GROUP).get(name)
    if entry is None:
        raise UsageError(f"there is no preprocessing step '{name}'", remedy=one_of(name, _SHIPPED))
    found = plugins.load(GROUP, name)
    why = _unfit(found, name)
    if why or not isinstance(found, type) or not issubclass(found, StepParameters):
        raise plugins.broken(entry, why)
    return found


def in_order(names: Iterable[str]) -> tuple[type[StepParameters], ...]:
    """The steps of these names in their fixed order: those of others behind the one that they name, by name."""
    return tuple(sorted(map(step_named, names), key=_place))


def as_step(parameters: StepParameters) -> Step:
    """The step of a recipe with these parameters."""
    version = None if parameters.name in _SHIPPED else parameters.version
    return Step(parameters.name, parameters.model_dump(mode="json"), version)


def is_given(name: str) -> bool:
    """Whether a step was given from Python, so that other processes do not know it."""
    return name in _GIVEN


def is_shipped(name: str) -> bool:
    """Whether a step is medcls' own."""
    return name in _SHIPPED


def owner(name: str) -> str:
    """Whose a step that is not medcls' own is, for messages."""
    if name in _GIVEN:
        return f"the step '{name}', given from Python,"
    entry = plugins.installed(GROUP)[name]
    return f"the plug-in '{name}' of the package {plugins.distribution_of(entry)}"


def _place(step: type[StepParameters]) -> tuple[int, str]:
    return (_PLACES[step.name], "") if step.name in _PLACES else (_PLACES[step.after], step.name)


def _unfit(step: object, name: str) -> str:
    """Why something is no step; empty where it is one."""
    if not isinstance(step, type) or not issubclass(step, StepParameters):
        return "it is no class of medcls.preprocessing.steps.StepParameters"
    if getattr(step, "name", "") != name or name in _SHIPPED or not name.isidentifier():
        return f"its name must be '{name}', and none of medcls' own" if name else "it has no name"
    if step.after not in _SHIPPED:
        return f"'after' must be the step of medcls that it stands behind: {', '.join(_SHIPPED)}"
    return ""
