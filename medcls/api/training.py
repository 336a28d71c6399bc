"""The verbs that train, as functions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from medcls.config import Config, load_config
from medcls.config.network_names import GIVEN
from medcls.errors import ConfigError
from medcls.evaluation.metrics.further import given_metrics, with_metrics
from medcls.evaluation.metrics.metric import Metric
from medcls.files import as_path
from medcls.networks.given import Given, given_network
from medcls.planning import Plan
from medcls.progress import SILENT, Progress, as_progress
from medcls.runs.folder import Run, open_run
from medcls.workflows.commands.check import Readiness, check_run
from medcls.workflows.commands.pretrain import Pretrained, pretrain_weights
from medcls.workflows.commands.reproduce import Reproduced, reproduce_run
from medcls.workflows.commands.train import train_run
from medcls.workflows.searching.tune import Tuned, tune_run

PathLike = str | os.PathLike[str]


def train(
    config: PathLike | None = None,
    *,
    run: str | None = None,
    resume: bool = False,
    network: Given | None = None,
    metrics: Sequence[Metric | str] = (),
    progress: Progress = SILENT,
    **changes: Any,
) -> Run:
    """Train, calibrate, evaluate, explain and report, all into one run folder.

    Args:
        config: The config file; ``None`` for defaults with ``changes`` alone.
        run: Name of the run folder; by default the config's.
        resume: Go on with the unfinished run of this name.
        network: A network as an object, in the place of one that the config names; see
            :func:`medcls.networks.given.given_network`. Whoever loads its classifier gives it again.
        metrics: Further metrics, as objects, or the names of those of installed packages; beside those of
            ``evaluation.metrics``. Whoever evaluates the run again gives the objects again.
        progress: Where to say how far it is; silent by default.
        **changes: Sections or keys of the config to change, e.g. ``train={"epochs": 5}``.

    Returns:
        The finished run.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> run = medcls.train("lung.yaml", run="quick", train={"epochs": 1})
        >>> run.metrics["test"]["n_patients"]
        6
    """
    with _settled(config, network, metrics, changes) as settings:
        return train_run(settings, name=_name(run), resume=resume, progress=as_progress(progress))


def check_training(
    config: PathLike | None = None,
    *,
    run: str | None = None,
    network: Given | None = None,
    metrics: Sequence[Metric | str] = (),
    progress: Progress = SILENT,
    **changes: Any,
) -> Readiness:
    """Do all that :func:`train` does before its first step, and leave no run: ``medcls train --check``.

    Args:
        config: As for :func:`train`.
        run: As for :func:`train`.
        network: As for :func:`train`.
        metrics: As for :func:`train`.
        progress: Where to say how far it is; silent by default.
        **changes: As for :func:`train`.

    Returns:
        What was found: partitions, exclusions, cautions, weights, memory, arithmetic and length of each training.

    Raises:
        MedclsError: One line that says what stops the training, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> medcls.check_training("lung.yaml", run="next", train={"epochs": 2}).trainings[0].epochs
        2
    """
    with _settled(config, network, metrics, changes) as settings:
        return check_run(settings, name=_name(run), progress=as_progress(progress))


def tune(
    config: PathLike | None = None,
    *,
    run: str | None = None,
    network: Given | None = None,
    metrics: Sequence[Metric | str] = (),
    progress: Progress = SILENT,
    **changes: Any,
) -> Tuned:
    """Try the settings of ``tune.space`` on folds within the training patients, and train a run with the best.

    Args:
        config: As for :func:`train`.
        run: As for :func:`train`; the search is kept beside it, and goes on from there.
        network: As for :func:`train`.
        metrics: As for :func:`train`.
        progress: Where to say how far it is; silent by default.
        **changes: As for :func:`train`.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> search = {"space": {"train.learning_rate": [1e-3, 1e-4]}, "trials": 1, "folds": 2}
        >>> tuned = medcls.tune("lung.yaml", train={"epochs": 1}, tune=search)
    """
    with _settled(config, network, metrics, changes) as settings:
        return tune_run(settings, name=_name(run), progress=as_progress(progress))


def reproduce(
    run: PathLike,
    *,
    name: str | None = None,
    network: Given | None = None,
    metrics: Sequence[Metric] = (),
    progress: Progress = SILENT,
) -> Reproduced:
    """Train a run again from its folder into a new one beside it, and say of every number whether it came back.

    Args:
        run: The run.
        name: Name of the new run; by default that of the first with ``-again``.
        network: The network that :func:`train` was given, where it was given one.
        metrics: The metrics that :func:`train` was given as objects.
        progress: Where to say how far it is.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> run = medcls.train("lung.yaml", run="first", train={"epochs": 1})
        >>> medcls.reproduce(run).found.outcome
        'to the bit'
    """
    with given_network(network), given_metrics(metrics):
        return reproduce_run(open_run(as_path(run, "the run")), name=_name(name), progress=as_progress(progress))


def _name(run: object) -> str | None:
    return None if run is None else str(as_path(run, "the run's name"))


@contextmanager
def _settled(
    config: PathLike | None, network: Given | None, metrics: Sequence[Metric | str], changes: dict[str, Any]
) -> Iterator[Config]:
    """The config with its changes; for as long, the network and the metrics that are given as objects are there."""
    if config is not None:
        as_path(config, "config")  # sections are given by their names: train={"epochs": 5}
    if network is not None:
        own = changes.get("model", {})
        if not isinstance(own, Mapping) or "name" in own:
            raise ConfigError("a network is both named and given", where="model", remedy="Leave out one of the two")
        changes = {**changes, "model": {**own, "name": GIVEN}}
    with given_network(network), given_metrics(metrics) as further:
        yield with_metrics(load_config(config, (), changes), further)


def plan(
    config: PathLike | None = None, *, budget: str | None = None, progress: Progress = SILENT, **changes: Any
) -> Plan:
    """What :func:`train` would choose for a cohort on this machine where the config leaves it open, and why.

    Args:
        config: The config file; ``None`` for defaults with ``changes`` alone.
        budget: The time that there is, in place of ``plan.budget``: ``20min``, ``2h``, ``overnight``.
        progress, changes: As of :func:`train`.

    Returns:
        The choices, what they were made by, and the seconds that they are expected to take.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> made = medcls.plan("lung.yaml", budget="20min")
        >>> next(one.value for one in made.choices if one.key == "train.average")
        'ema'
    """
    from medcls.workflows.commands.plan import plan_training

    if budget is not None:
        changes["plan"] = {**changes.get("plan", {}), "budget": budget}
    return plan_training(load_config(config, (), changes), as_progress(progress))


def pretrain(
    config: PathLike | None = None,
    *,
    run: str | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    **changes: Any,
) -> Pretrained:
    """Pretrain a network on scans without labels, for ``model.weights`` of later trainings.

    Args:
        config: As for :func:`train`; what it has of ``pretrain`` says how, and on which scans.
        run: Name of the folder under ``runs``; by default the config's with ``-pretrained``.
        resume: Go on with the unfinished pretraining of this name.
        progress: Where to say how far it is.
        **changes: As for :func:`train`.

    Returns:
        Its folder, which ``model.weights`` takes, and how the weights came about.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Warns:
        UserWarning: ``progress`` is silent, and the weights collapsed or learnt nothing.

    Examples:
        >>> import medcls
        >>> made = medcls.pretrain("lung.yaml", run="before", pretrain={"epochs": 1})
        >>> made.weights.name, made.record["method"]
        ('weights.safetensors', 'simsiam')
    """
    if config is not None:
        as_path(config, "config")
    settings, progress = load_config(config, (), changes), as_progress(progress)
    made = pretrain_weights(settings, name=_name(run), resume=resume, progress=progress)
    if progress.quiet and made.doubt:  # a progress that speaks has said so
        warnings.warn(made.doubt, UserWarning, stacklevel=2)
    return made
