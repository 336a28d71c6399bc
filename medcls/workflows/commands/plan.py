"""``plan``: what medcls would choose for a cohort on this machine, and why; ``train`` asks for it by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medcls.cohort import Case, Cohort, read_cohort
from medcls.cohort.leakage.fingerprints import Fingerprint, fingerprint
from medcls.cohort.leakage.near_duplicates import find_near_duplicates
from medcls.config import Config
from medcls.config.site_weights import names_weights, site_weights
from medcls.errors import ConfigError, MedclsError, NothingToDo
from medcls.planning import Choice, Machine, Plan, Situation, choose, cohort_fingerprint, read_plan
from medcls.planning.choice import PLANNED, said_keys, value_of, with_choices
from medcls.planning.fingerprint import Look
from medcls.planning.reductions import REDUCTIONS
from medcls.progress import SILENT, Progress
from medcls.scans import read_scan
from medcls.scans.core.leniency import Leniency

_LOOKS = 48
"""Scans that are looked at: their medians are then within a few percent of the cohort's."""


def plan_training(config: Config, progress: Progress = SILENT) -> Plan:
    """Choose every key that a config leaves open.

    Args:
        config: The resolved config; what it says is in the plan as it says it.
        progress: Where to say how far it is.

    Raises:
        MedclsError: Config, cohort or scans are wrong.
    """
    if config.plan.file is not None:
        return _as_filed(config, config.plan.file)
    weights_of = _weights_of(config)
    progress.begin("Looking at the cohort")
    cohort = read_cohort(config, progress)
    looks, twins, reading = _look(cohort, config, progress)
    part = 1 - config.split.tune - (1 / config.split.folds if config.split.folds else config.split.test)
    known = cohort_fingerprint(cohort.cases, cohort.labels, part, looks, twins)
    machine = this_machine(config)
    situation = Situation(config.region, known, machine, _said(config), _mirrors(config), weights_of)
    choices = choose(situation)
    counts = _counts(cohort, config, part)
    # Only now: what needs torch takes seconds.
    from medcls.workflows.fitting.costs import expected_seconds

    def cost(chosen: Sequence[Choice]) -> dict[str, float]:
        return expected_seconds(with_choices(config, chosen), counts, reading)

    progress.begin("Timing the network")
    seconds = cost(choices)
    for reduce in REDUCTIONS:
        while sum(seconds.values()) > config.plan.seconds:
            fewer = reduce(choices, config.plan.budget)
            if fewer is None:
                break
            choices, seconds = fewer, cost(fewer)
    choices = (*choices, *_limit(config, choices, seconds))
    return Plan(choices, known, situation.machine, config.plan.seconds, seconds)


def _as_filed(config: Config, file: Path) -> Plan:
    """The plan of a file; a value of it that does not fit is told with the file's name."""
    choices = tuple(one for one in read_plan(file) if one.key not in said_keys(config))
    try:
        with_choices(config, choices)
    except ConfigError as error:
        error.where = str(file)
        raise
    return Plan(choices, None, None, config.plan.seconds, {})


def _weights_of(config: Config) -> str:
    """The network that ``model.weights`` is of, where the config names no network; empty: weights of any."""
    weights, said = config.model.weights, said_keys(config)
    if weights is None or said & {"model.name", "ensemble.networks"}:
        return ""
    of_site = tuple(dict.fromkeys(one.network for one in site_weights() if one.name == weights))
    if len(of_site) > 1:
        raise ConfigError(
            f"there are weights of this name for {' and '.join(of_site)}",
            where=f"model.weights: {weights}",
            remedy="Name one of them in model.name",
        )
    if of_site or names_weights(weights):
        return "".join(of_site)
    from medcls.networks.pretrained.weights import network_in

    network = network_in(weights)
    if not network:
        raise ConfigError(
            "the file does not say of which network it is",
            where=f"model.weights: {weights}",
            remedy="Name it in model.name",
        )
    return network


def _limit(config: Config, choices: Sequence[Choice], seconds: Mapping[str, float]) -> tuple[Choice, ...]:
    """What keeps each training within its part of the budget, should it go slower than it was timed."""
    chosen = with_choices(config, choices)
    if chosen.train.method == "probe" or "train.time_limit" in said_keys(config):
        return ()
    trainings = chosen.ensemble.members * (chosen.split.folds or 1) * chosen.split.repeats
    left = config.plan.seconds - sum(seconds.values()) + seconds["training"]
    limit = f"{max(60.0, left / trainings):.0f} s"
    return (Choice("train.time_limit", limit, f"its part of {config.plan.budget}"),)


def planned(config: Config, progress: Progress = SILENT) -> tuple[Config, Plan | None]:
    """The config with what the plan chose, and the plan; as it is where it leaves nothing open, or wants no plan."""
    if not config.plan.use or said_keys(config) >= PLANNED:
        return config, None
    try:
        plan = plan_training(config, progress)
    except NothingToDo:
        return config, None  # preparing says of every scan why it is refused
    return with_choices(config, plan.choices), plan


def this_machine(config: Config) -> Machine:
    """The machine that a config would train on."""
    import torch

    from medcls.networks.pretrained.catalogue import known_weights
    from medcls.networks.pretrained.places import find
    from medcls.training.device import gains_by_bf16
    from medcls.training.memory import available_memory

    device = "cuda" if torch.cuda.is_available() and config.train.device != "cpu" else "cpu"
    here = [one for one in known_weights() if find(one.source) is not None]
    return Machine(
        device=device,
        cores=torch.get_num_threads(),
        memory=torch.cuda.mem_get_info()[0] if device == "cuda" else available_memory(),
        fast_bf16=gains_by_bf16(device),
        weights={axes: tuple(sorted({one.network for one in here if axes in one.dimensions})) for axes in (2, 3)},
    )


def _look(cohort: Cohort, config: Config, progress: Progress) -> tuple[list[Look], float, float]:
    """What some scans show, which share of them looks like another, and the seconds that reading one takes."""
    located = [case for case in cohort.cases if case.source is not None and case.partition != "test"]
    if not located:
        raise NothingToDo(
            "no scan of any case can be found", where=cohort.source, remedy="See what 'medcls inspect' says"
        )
    some = [located[place] for place in np.unique(np.linspace(0, len(located) - 1, _LOOKS).round().astype(int))]
    looks: list[Look] = []
    prints: dict[str, Fingerprint] = {}
    leniency, begun, why = Leniency.chosen(config.preprocessing), time.perf_counter(), ""
    for case in progress.track(some, "Looking at scans"):
        try:
            scan = read_scan(case.source, leniency=leniency)
        except MedclsError as error:
            why = error.what
            continue
        looks.append(Look.of(scan))
        view = scan.layers[..., scan.layers.shape[-1] // 2] if scan.array.ndim == 4 else scan.array
        one = fingerprint(view)
        if one is not None:
            prints[case.name] = one
    if not looks:
        raise NothingToDo(
            f"none of {len(some)} scans that were looked at can be read: {why}",
            where=cohort.source,
            remedy="See what 'medcls inspect' says of them",
        )
    seconds = (time.perf_counter() - begun) / len(some)
    twins = {name for pair in find_near_duplicates(prints).pairs for name in (pair.first, pair.second)}
    return looks, len(twins) / len(looks), seconds


def _counts(cohort: Cohort, config: Config, part: float) -> dict[str, int]:
    """How many cases there will be in train, tune and test."""
    cases: Sequence[Case] = cohort.cases
    if any(case.partition for case in cases):
        return {name: len(cohort.partition(name)) for name in ("train", "tune", "test")}
    tune = round(config.split.tune * len(cases))
    train = round(part * len(cases))
    return {"train": train, "tune": tune, "test": len(cases) - train - tune}


def _said(config: Config) -> Mapping[str, Any]:
    return {key: value_of(config, key) for key in said_keys(config) if "." in key}


def _mirrors(config: Config) -> tuple[str, ...]:
    from medcls.loading import Augmentation

    made = Augmentation.from_settings(
        config.region, config.augmentation, kind=config.preprocessing.kind, dimensions=2, seed=0
    )
    return () if made is None else made.flip
