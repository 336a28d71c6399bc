"""One training in its run folder: from parted cases to a classifier, its metrics and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medcls.cohort import Cohort
from medcls.cohort.case import codes_in_words
from medcls.config import PARTITIONS, Config, dump_config
from medcls.errors import RunError
from medcls.evaluation.partition.learning_curve import LEARNING_CURVE
from medcls.files import write_json, write_text
from medcls.progress import Progress
from medcls.reporting.content import PartitionCounts
from medcls.reporting.sections.probe import probe_cautions
from medcls.reporting.text.numbers import counted
from medcls.runs.changed_files import SUMS, changed_parts
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run
from medcls.runs.metric_tables import write_metrics
from medcls.runs.run_tables import read_partitions, write_cohort, write_excluded, write_predictions
from medcls.runs.training_cases import keep_training_cases, known_training_cases
from medcls.values.caution import in_order, note, serious
from medcls.workflows.data.leakage_audit import write_audit
from medcls.workflows.data.prepare import Material, thinned
from medcls.workflows.data.training_summary import write_training_summary
from medcls.workflows.data.unlabelled import TABLE, learnt_nothing, same_unlabelled
from medcls.workflows.fitting.arithmetic import describe_arithmetic, settle_arithmetic, write_arithmetic
from medcls.workflows.fitting.fit_classifier import EVALUATED, Trained, start_network, train_classifier
from medcls.workflows.fitting.resume import how_it_went_on
from medcls.workflows.fitting.starting_weights import check_seen
from medcls.workflows.fitting.teaching import check_teacher
from medcls.workflows.reporting.baseline import fit_baseline
from medcls.workflows.reporting.evaluate_cases import evaluate_cases
from medcls.workflows.reporting.probe_beside import fit_probe_beside
from medcls.workflows.session import Session
from medcls.workflows.training.learning_curve import learning_curve


def train_material(run: Run, material: Material, session: Session) -> None:
    """Train, calibrate, evaluate, explain and report, all into the run; what is there already is gone on from.

    Args:
        run: The run.
        material: Prepared cases with their partitions.
        session: With the run's config.

    Raises:
        RunError: The run was started with another cohort.
    """
    progress = session.progress
    network = start_network(session.config, material.recipe, len(material.cohort.labels))  # said once, before preparing
    material, seen = check_seen(material, network, session)
    config, arithmetic = settle_arithmetic(session.config, material, network, progress, run=run)
    session = replace(session, config=config)
    compute = arithmetic.compute
    environment = describe_environment(compute.device, describe_arithmetic(compute))
    known = {**seen, **check_teacher(material, session)}
    with run.locked():
        material = begin(run, material, environment, session)
        if known:  # so that a later evaluation knows these too
            keep_training_cases(run.path, {**known, **known_training_cases(run)})
        write_arithmetic(run, arithmetic)
        finish(run, material, train_classifier(material, network, run.path, compute, session), environment, session)
    progress.note(f"Done: {run.report_file}")


def begin(run: Run, material: Material, environment: Mapping[str, str], session: Session) -> Material:
    """Open the run folder, and say what there is; the material with what must be known of a run that is gone on with."""
    open_folder(run, material, environment, session)
    cohort = material.cohort.warn(
        *note("resumed", *how_it_went_on(run.path)), *serious("changed-files", *changed_parts(run))
    )
    material = replace(material, cohort=cohort)
    say_what_there_is(run, material, session.progress)
    return material


def finish(
    run: Run,
    material: Material,
    trained: Trained,
    environment: Mapping[str, str],
    session: Session,
    members: Sequence[Run] = (),
) -> None:
    """From a classifier to its report: save, evaluate, explain. ``members`` are the runs that are joined in it, if any are."""
    config = session.config
    trained.classifier.save(run.classifier_folder)
    write_predictions(run.predictions_file, material.cohort, trained.case_predictions, session.pseudonyms)
    metrics = _metrics(run, material, trained, session)
    if config.split.learning_curve:
        metrics[LEARNING_CURVE] = _learning_curve(run, material, metrics, session)
    write_metrics(run.path, metrics)
    histories = [one.path / "history.csv" for one in members or [run]]
    cautions = (*learnt_nothing(histories, config), *probe_cautions(metrics.get("test", {})))
    session.progress.warn(*map(str, cautions))
    material = replace(material, cohort=material.cohort.warn(*cautions))
    from medcls.workflows.reporting.report import explain_cases, report_training

    session.progress.begin("Explaining and reporting")
    explained = explain_cases(
        replace(trained.classifier, loaded_from=run.classifier_folder),
        material,
        trained.case_predictions,
        run.explanations,
        session,
    )
    report_training(run, config, material, trained, metrics, explained, environment)


def _metrics(run: Run, material: Material, trained: Trained, session: Session) -> dict[str, Any]:
    """The metrics of tune and test, those of test beside the baseline's; what later cohorts are held against is kept."""
    cohort, features = material.cohort, trained.features
    config, pseudonyms = session.config, session.pseudonyms
    write_training_summary(run.path, cohort, cohort.partition("train"), features)
    baseline = fit_baseline(cohort, features, config, pseudonyms) if config.evaluation.baseline else None
    if baseline is not None:
        baseline.save(run.path)
    # Of folds it is fitted when they are joined.
    probe = fit_probe_beside(material, session) if config.evaluation.baseline and config.split.fold is None else None
    session.progress.begin("Evaluating")
    metrics: dict[str, Any] = {}
    for partition in EVALUATED:
        if partition not in trained.predictions:
            continue
        cases = cohort.partition(partition)
        on_test = partition == "test"
        beside = baseline.case_predictions(cases, features, pseudonyms) if baseline and on_test else None
        refused = [one for one in cohort.excluded if one.partition == partition]
        evaluation = evaluate_cases(
            trained.classifier,
            cases,
            trained.case_predictions,
            session,
            refused=refused,
            baseline=beside,
            probe=probe if on_test else None,
        )
        metrics[partition] = evaluation.to_json()
    return metrics


def _learning_curve(run: Run, material: Material, metrics: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """Train on parts of the training patients, and say what each gave."""

    def train(one: Run, part_config: Config) -> list[Cohort]:
        part = thinned(material, part_config)
        if not one.is_finished:
            train_material(one, part, replace(session, config=part_config))
        return [part.cohort]

    return learning_curve(run, session.config, metrics, [material.cohort], train, session.progress).to_json()


def open_folder(run: Run, material: Material, environment: Mapping[str, str], session: Session) -> None:
    """Write what is known before training; a run that is gone on with must find what it left."""
    table, pseudonyms = run.path / "cohort.csv", session.pseudonyms
    if run.config_file.exists():
        now = {pseudonyms.case(case.name): case.partition for case in material.cohort.cases}
        unlabelled = None if material.unlabelled is None else material.unlabelled.cohort
        if read_partitions(table) != now or not same_unlabelled(run.path / TABLE, unlabelled, pseudonyms):
            raise RunError(
                "the cohort has changed since the run was started",
                where=str(run.path),
                remedy="Restore the scans and the table, or start anew without --resume",
            )
        (run.path / SUMS).unlink(missing_ok=True)
        return
    # config.yaml makes the folder a run, and so comes last.
    write_excluded(run.path / "excluded.csv", material.cohort, pseudonyms, session.config.places_from)
    write_json(run.path / "environment.json", environment)
    write_cohort(table, material.cohort, material.content, pseudonyms)
    write_audit(run.path, material, pseudonyms)
    for name, text in run.further.items():
        write_text(run.path / name, text)
    dump_config(session.config, run.config_file)


def say_what_there_is(run: Run, material: Material, progress: Progress) -> None:
    """Say how many cases each partition holds, of how many each label is known, and what to mind."""
    cohort = material.cohort
    progress.note(f"Run: {run.path}")
    for found in counted_partitions(cohort):
        progress.note(f"  {found.name:5} {found.in_words()}")
    if cohort.excluded:
        way_back = f"'medcls whose CODE --run {run.path}' says which scan a code is"
        progress.note(
            f"  {counted(len(cohort.excluded), 'case')} left out, {codes_in_words(cohort.excluded)}: see "
            f"{run.path / 'excluded.csv'}; {way_back}"
        )
    progress.warn(*map(str, in_order(cohort.warnings)))


def counted_partitions(cohort: Cohort) -> tuple[PartitionCounts, ...]:
    """What each partition that has cases holds."""
    from medcls.workflows.reporting.report import partition_counts

    parts = ((name, cohort.partition(name)) for name in PARTITIONS)
    return tuple(partition_counts(name, cases, cohort.labels) for name, cases in parts if cases)
