"""``join``: finished runs as one ensemble, judged on what all of them held out.

The members stay as they are. The operating point and the prediction sets are chosen on the cases that all of them tuned on;
what any of them learnt from counts as training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config import Config, Partition
from medcls.config.sections.ensemble import EnsembleSettings
from medcls.errors import RunError, UsageError
from medcls.progress import SILENT, Progress
from medcls.reporting.text.numbers import counted
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run, is_run, new_run
from medcls.runs.run_tables import read_partitions
from medcls.runs.training_cases import (
    KnownCases,
    check_key,
    keep_training_cases,
    known_training_cases,
    meet_training_cases,
    refuse_learnt,
)
from medcls.training.device import choose_compute
from medcls.values.caution import note
from medcls.workflows.data.prepare import Material, let_pass, prepare_whole
from medcls.workflows.session import Session
from medcls.workflows.training.ensemble import joined
from medcls.workflows.training.train_once import begin, finish

Sides = Mapping[str, Partition]
"""Pseudonym of a case to its partition."""


def join_runs(runs: Sequence[Run], name: str, progress: Progress = SILENT) -> Run:
    """Join finished runs into one ensemble, in a run of its own beside the first; nothing is trained.

    Args:
        runs: Two or more, of single classifiers for the same labels, on the same recipe.
        name: Of the new run.
        progress: Where to say how far it is.

    Raises:
        UsageError: There are fewer than two, or they differ in labels or recipe.
        RunError: One is not finished, is an ensemble itself, or learnt from a case that another holds out.
        LeakageError: A patient, a study or an image of the shared test cases is among what any of them learnt from.
    """
    members = _by_name(runs)
    sides = {own: read_partitions(run.path / "cohort.csv") for own, run in members.items()}
    shared = shared_partitions(sides)
    config = _config(runs[0], list(members), name)
    new = new_run(config.runs, name, exact=True)
    session = Session.of(config, progress)
    progress.begin("Loading the members")
    loaded = {own: load_classifier(run.path, device=config.train.device) for own, run in members.items()}
    _check_alike(loaded, session)
    known = _known(members)
    material = _material(shared, loaded, session)
    left_out = len({case for one in sides.values() for case, side in one.items() if side == "test"} - shared.keys())
    if left_out:
        said = note("joined", f"{counted(left_out, 'test case')} that not every joined run held out: not evaluated")
        material = replace(material, cohort=material.cohort.warn(*said))
    test = material.cohort.replace_cases(material.cohort.partition("test"))
    met = meet_training_cases(
        known, test, material.content, {}, session.pseudonyms, config.split.allow_leakage, config.places_from
    )
    material = replace(material, cohort=material.cohort.warn(*met.warnings))
    trained = joined(loaded, material, session)
    compute = choose_compute(config.train, config.model.name, material.recipe.dimensions)
    environment = describe_environment(compute.device)
    with new.locked():
        material = begin(new, material, environment, session)
        keep_training_cases(new.path, known)
        finish(new, material, trained, environment, session, runs)
    progress.note(f"Done: {new.report_file}")
    return Run(new.path)


def shared_partitions(sides: Mapping[str, Sides]) -> dict[str, Partition]:
    """What each case is to the runs together: test or tune where it is so in all, else train; held out by some alone, nothing.

    Args:
        sides: Name of a run to what each case is in it.

    Raises:
        RunError: A run learnt from a test case of another, or none is test, or tune, in all of them.
    """
    refuse_learnt(sides, "test case")
    found: dict[str, Partition] = {}
    for case in dict.fromkeys(case for one in sides.values() for case in one):
        among = {one.get(case) for one in sides.values()}
        if among in ({"test"}, {"tune"}):
            found[case] = next(one[case] for one in sides.values())
        elif "test" not in among:
            found[case] = "train"
    for needed in ("test", "tune"):
        if needed not in found.values():
            raise RunError(f"no case is {needed} in all of {', '.join(sides)}", remedy="Join runs of one split")
    return found


def _by_name(runs: Sequence[Run]) -> dict[str, Run]:
    """The runs by names that tell them apart."""
    if len({run.path.resolve() for run in runs}) < max(2, len(runs)):
        raise UsageError("join needs two runs or more, each once")
    members: dict[str, Run] = {}
    for run in runs:
        if not run.is_finished:
            raise run.unfinished("report")
        members[run.name if run.name not in members else f"{run.name}-{len(members) + 1}"] = run
    return members


def _config(first: Run, members: list[str], name: str) -> Config:
    """The first run's config, which says that the new one was joined."""
    config, folder = first.load_config(), first.path.parent
    while is_run(folder.parent):  # the run of an ensemble that the first is a member of
        folder = folder.parent.parent
    return config.model_copy(
        update={
            "name": name,
            "runs": folder,
            "ensemble": EnsembleSettings(joined=members),
            "split": config.split.model_copy(update={"learning_curve": []}),
        }
    )


def _check_alike(loaded: Mapping[str, Classifier], session: Session) -> None:
    first = next(iter(loaded))
    for name, classifier in loaded.items():
        if isinstance(classifier, Ensemble):
            raise RunError(
                f"'{name}' is an ensemble itself",
                remedy="Name the runs that it is made of, under its members/",
            )
        if classifier.space != loaded[first].space:
            labels = [", ".join(one.labels) for one in (classifier, loaded[first])]
            raise UsageError(f"'{name}' answers other labels than '{first}': {labels[0]}, and not {labels[1]}")
        check_key(classifier, name, session.pseudonyms)


def _known(members: Mapping[str, Run]) -> KnownCases:
    """What any of the runs was trained or tuned on."""
    known: KnownCases = {}
    for run in members.values():
        known = {**known_training_cases(run), **known}
    return known


def _material(shared: Sides, loaded: Mapping[str, Classifier], session: Session) -> Material:
    """The prepared cases with their partitions, past the gate."""
    config, pseudonyms = session.config, session.pseudonyms
    material = prepare_whole(config, session.progress)
    sided = [(case, shared.get(pseudonyms.case(case.name))) for case in material.cohort.cases]
    cases = [replace(case, partition=side) for case, side in sided if side is not None]
    for needed in ("test", "tune"):
        found, expected = (
            sum(side == needed for side in of) for of in ((one.partition for one in cases), shared.values())
        )
        if found < expected:
            raise RunError(
                f"only {found} of the {expected} shared {needed} cases are found again",
                remedy="Restore the table, the scans and the pseudonym key that the runs were made with",
            )
    given = next(iter(loaded.values())).provenance.get("partitions_given")
    cohort = replace(
        material.cohort,
        cases=tuple(cases),
        given=None if given is None else tuple(given),
    )
    return let_pass(replace(material, cohort=cohort).related(config, session.progress), cohort, config)
