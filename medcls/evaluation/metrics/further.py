"""Metrics beyond those of medcls: of installed packages, or given as objects from Python.

Settings name them, so that nothing in a file can bring code.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields

import numpy as np

from medcls import plugins
from medcls.config import Config
from medcls.errors import ConfigError, MedclsError, UsageError, in_words
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined

GROUP = "medcls.metrics"
"""Entry points of installed packages: from the name of a metric to its :class:`Metric`."""
_GIVEN: ContextVar[Mapping[str, Metric] | None] = ContextVar("given_metrics", default=None)
_ALWAYS = "Leave it out: only metrics beyond those of medcls are named here"


@contextmanager
def given_metrics(metrics: Sequence[Metric | str]) -> Iterator[tuple[str, ...]]:
    """Within, these metrics are known by their names, which are given; a text names one of an installed package.

    Raises:
        UsageError: Something else is among them, or a name is taken.
    """
    if isinstance(metrics, str | Metric) or not all(isinstance(one, Metric | str) for one in metrics):
        raise UsageError("metrics= takes a list of Metric objects, or of names of installed ones")
    objects = [one for one in metrics if isinstance(one, Metric)]
    names = tuple(one if isinstance(one, str) else one.name for one in metrics)
    always = next((one for one in metrics if isinstance(one, str) and one in METRICS), None)
    if always is not None:
        raise UsageError(f"'{always}' is always given", where="metrics=", remedy=_ALWAYS)
    taken = [name for name in names if name in METRICS or not name.isidentifier() or names.count(name) > 1]
    if taken:
        raise UsageError(
            f"a metric cannot be called '{taken[0]}'", remedy="Take a word that medcls uses for nothing else"
        )
    before = _GIVEN.set({one.name: _blamed(one, f"the metric '{one.name}'") for one in objects})
    try:
        yield names
    finally:
        _GIVEN.reset(before)


def further_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics that settings name.

    Raises:
        UsageError: No installed package has one, it was given as an object and is not now, or it is broken.
    """
    given = _GIVEN.get() or {}
    return tuple(given[name] if name in given else _installed(name) for name in names)


def _installed(name: str) -> Metric:
    if name in METRICS:
        raise ConfigError(f"'{name}' is always given", where="evaluation.metrics", remedy=_ALWAYS)
    entry = plugins.installed(GROUP).get(name)
    if entry is None:
        raise UsageError(
            f"no installed package adds a metric '{name}', and none of this name was given",
            remedy="Install the package that has it, or give it in Python: metrics=[...]",
        )
    found = plugins.load(GROUP, name)
    if not isinstance(found, Metric) or found.name != name:
        raise plugins.broken(entry, f"it gives no Metric that is called '{name}'")
    return _blamed(found, f"the plug-in '{name}' of the package {plugins.distribution_of(entry)}")


def _blamed(metric: Metric, who: str) -> Metric:
    """The metric, whose errors say whose they are."""
    of = metric.of

    def value(positive: Bools, taken: Floats) -> PointEstimate:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):  # of a replicate without some kind of case
                warnings.simplefilter("ignore", RuntimeWarning)
                found = of(positive, taken)
            return found if isinstance(found, Undefined) else float(found)
        except MedclsError:
            raise
        except Exception as error:
            raise UsageError(f"{who} fails: {in_words(error)}", remedy="Mend it, or leave it out") from error

    own = {one.name: getattr(metric, one.name) for one in fields(Metric)}
    return Metric(**{**own, "of": value})


def check_trained_with(config: Config, names: Sequence[str]) -> None:
    """Refuse metrics, given as objects, that a run was trained without.

    Raises:
        UsageError: One of them is not among those of the run's config.
    """
    missing = next((name for name in names if name not in config.evaluation.metrics), None)
    if missing is not None:
        raise UsageError(
            f"the run was trained without the metric '{missing}'",
            where="metrics=",
            remedy="Give it to medcls.train, or give a table of scores to medcls.evaluate_scores",
        )


def with_metrics(config: Config, names: Sequence[str]) -> Config:
    """The config with these further metrics beside its own."""
    own = [name for name in config.evaluation.metrics if name not in names]
    return config.model_copy(
        update={"evaluation": config.evaluation.model_copy(update={"metrics": [*own, *names]})} if names else {}
    )
