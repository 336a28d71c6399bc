"""``train --check``: everything that can be known of a training before its first step, and no run folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medcls.config import Config
from medcls.config.network_names import NetworkName
from medcls.progress import SILENT, Progress
from medcls.reporting.content import PartitionCounts
from medcls.reporting.text.numbers import counted
from medcls.runs.environment import describe_environment
from medcls.runs.folder import new_run
from medcls.values.caution import Caution, in_order
from medcls.workflows.commands.train import looked_over, make_ready, with_plan
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.arithmetic import describe_arithmetic, settle_arithmetic
from medcls.workflows.fitting.batch_size import batch_size_of, train_batches
from medcls.workflows.fitting.fit_classifier import start_network
from medcls.workflows.fitting.memory_check import check_room
from medcls.workflows.fitting.starting_weights import check_seen, settle_weights
from medcls.workflows.session import Session
from medcls.workflows.training.ensemble import member_configs
from medcls.workflows.training.train_once import counted_partitions


@dataclass(frozen=True)
class Computing:
    """How this machine would train a network.

    Attributes:
        weights: What the network starts from, and how it fits.
        memory: What a step needs, and what there is.
        device: Where it is computed.
        arithmetic: The number format that was tried and found right, and the layers that are computed otherwise.
        batch_size: Cases in a batch; ``None`` of a probe.
    """

    weights: str
    memory: str
    device: str
    arithmetic: str
    batch_size: int | None


@dataclass(frozen=True)
class PlannedTraining:
    """One training of a run, which has several with folds or an ensemble.

    Attributes:
        name: Of the fold or the member; empty where the run is one training.
        partitions: What train, tune and test hold.
        computing: How it is computed; tried once for each network, with the cases of the first training that has it.
        steps_per_epoch: Steps of the optimiser; 0 of a probe.
        epochs: The most that there will be; 0 of a probe.
    """

    name: str
    partitions: tuple[PartitionCounts, ...]
    computing: Computing
    steps_per_epoch: int
    epochs: int

    @property
    def length(self) -> str:
        """How long it is, in words."""
        if self.computing.batch_size is None:
            return "a linear probe, without epochs"
        return (
            f"at most {counted(self.epochs, 'epoch')} of {counted(self.steps_per_epoch, 'step')} "
            f"({self.epochs * self.steps_per_epoch} steps in all), {counted(self.computing.batch_size, 'case')} in a batch"
        )


@dataclass(frozen=True)
class Readiness:
    """What was found of a training that could begin now.

    Attributes:
        run: The folder that it would be written to; there is none.
        partitions: Cases, patients and labels of each; with folds, ``train`` holds all that are in folds.
        excluded: Pseudonym, code and reason of each case that is left out; which scan a pseudonym is says ``medcls whose``.
        cautions: What to mind, the gravest first.
        trainings: The one training; or those of the folds, or of the members.
        again: How often all of them are repeated for a learning curve.
    """

    run: Path
    partitions: tuple[PartitionCounts, ...]
    excluded: tuple[Mapping[str, str], ...]
    cautions: tuple[Caution, ...]
    trainings: tuple[PlannedTraining, ...]
    again: int

    def facts(self) -> Iterator[tuple[str, str]]:
        """What was found, each with its name, for a reader; what is the same of several trainings once."""
        for one in self.partitions:
            yield one.name, one.in_words()
        codes = Counter(one["code"] for one in self.excluded)
        yield "left out", ", ".join(f"{n} as {code}" for code, n in codes.most_common()) or "nothing"
        for name in ("weights", "memory", "device", "arithmetic"):
            yield from _of_each(name, [(one.name, str(getattr(one.computing, name))) for one in self.trainings])
        yield from _of_each("length", [(one.name, one.length) for one in self.trainings])
        if len(self.trainings) > 1 or self.again:
            curve = f", and {counted(self.again, 'time')} more for the learning curve" if self.again else ""
            yield "trainings", f"{len(self.trainings)}{curve}"
        yield "run", str(self.run)

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        cautions = [{"code": one.code, "text": str(one)} for one in self.cautions]
        return {**asdict(replace(self, cautions=())), "ready": True, "run": str(self.run), "cautions": cautions}


def check_run(config: Config, *, name: str | None = None, progress: Progress = SILENT) -> Readiness:
    """Do all that a training does before its first step: read, prepare, part, try the machine; and leave no run.

    Prepared scans stay in the store, where the training finds them.

    Args:
        config: The resolved config.
        name: As of :func:`medcls.workflows.commands.train.train_run`.
        progress: Where to say how far it is.

    Raises:
        MedclsError: What stops the training, as :func:`medcls.workflows.commands.train.train_run` says it.
    """
    with looked_over(config, name, progress) as labels:
        run = new_run(config.runs, name or config.name or config.region, exact=name is not None)
        run, config = with_plan(run, config, labels, progress)
        session, cases = make_ready(config, labels, progress)
    whole = cases.material if isinstance(cases, FoldPlan) else cases
    cohort, pseudonyms = whole.cohort, session.pseudonyms
    return Readiness(
        run.path,
        counted_partitions(cohort),
        tuple({"case": pseudonyms.case(one.name), "code": one.code, "reason": one.reason} for one in cohort.excluded),
        tuple(in_order(cohort.warnings)),
        tuple(_planned(cases, session)),
        len(config.split.learning_curve),
    )


def _trainings(cases: Material | FoldPlan, config: Config) -> Iterator[tuple[str, Material, Config]]:
    """Name, cases and config of each."""
    if isinstance(cases, FoldPlan):
        for fold in cases.folds:
            members = member_configs(config).items()
            yield from ((f"{fold.name} {name}".rstrip(), cases.part(fold.name), own) for name, own in members)
    else:
        yield from ((name, cases, own) for name, own in member_configs(config).items())


def _planned(cases: Material | FoldPlan, session: Session) -> Iterator[PlannedTraining]:
    tried: dict[NetworkName, Computing] = {}
    for name, material, own in _trainings(cases, session.config):
        if own.model.name not in tried:
            tried[own.model.name] = _tried(material, replace(session, config=own))
        found = tried[own.model.name]
        steps, epochs = 0, 0
        if found.batch_size is not None:
            own = own.model_copy(update={"train": own.train.model_copy(update={"batch_size": found.batch_size})})
            steps, epochs = math.ceil(len(train_batches(material, own)) / own.train.accumulate), own.train.epochs
        yield PlannedTraining(name, counted_partitions(material.cohort), found, steps, epochs)


def _tried(material: Material, session: Session) -> Computing:
    config, progress = settle_weights(session.config, material.recipe), session.progress
    network = start_network(config, material.recipe, len(material.cohort.labels))  # what it says is said already
    check_seen(material, network, session)
    memory = check_room(config, material.recipe)
    progress.begin(f"Trying the arithmetic of {config.model.name}")
    config, found = settle_arithmetic(config, material, network, progress)
    return Computing(
        "random" if network.started_from is None else network.started_from.summary().removeprefix("weights "),
        memory,
        describe_environment(found.compute.device)["device"],
        describe_arithmetic(found.compute),
        None if config.train.method == "probe" else batch_size_of(config),
    )


def _of_each(name: str, said: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is said of each training; once what is the same of all."""
    if len({what for _, what in said}) == 1:
        yield name, said[0][1]
    else:
        yield from ((name, f"{whose}: {what}") for whose, what in said)
