"""From what a run came to, to its explanations and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from medcls.classifier import Classifier, Prediction, Row
from medcls.classifier.ensemble import Ensemble
from medcls.cohort import Case, Cohort
from medcls.config import PARTITIONS, Config, Partition
from medcls.errors import ScanRefused
from medcls.evaluation.partition.learning_curve import LEARNING_CURVE
from medcls.explanation.explanation import Explanation
from medcls.reporting.content import (
    CohortFlow,
    ExplainedCase,
    PartitionCounts,
    ReasonCount,
    ReportContent,
)
from medcls.reporting.record import EXTERNAL
from medcls.reporting.text.config_text import public_config
from medcls.reporting.text.numbers import counted, threshold
from medcls.runs.calibration_status import calibration_statement, mean_of_members
from medcls.runs.explanation_files import Writer
from medcls.runs.folder import Run
from medcls.runs.provenance import origin_of
from medcls.runs.run_tables import pseudonym_of
from medcls.runs.scan_notes import note_counts
from medcls.scans import CAUSES, RefusalCode, read_scan
from medcls.values import documents
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.fit_classifier import Trained
from medcls.workflows.fitting.starting_weights import weights_properties
from medcls.workflows.reporting.documents import write_documents
from medcls.workflows.reporting.example_cases import choose_cases, label_to_explain, outcome
from medcls.workflows.reporting.figure_files import read_epochs
from medcls.workflows.session import Session

_REASONS = {
    "no-label": "The table has no label, or of several none that is known.",
    "no-scan": "The table names no scan, or there is none at its path.",
    "duplicate": "The same patient, study or image is in a partition that evaluates.",
}


def explain_cases(
    classifier: Classifier,
    material: Material,
    predictions: Mapping[str, Prediction],
    folder: Path,
    session: Session,
) -> list[ExplainedCase]:
    """Explain a few test cases: a PNG and a NIfTI map of each go into the folder.

    Which cases, and for which labels: see :mod:`medcls.workflows.reporting.example_cases`.
    """
    cases = [case for case in material.cohort.partition("test") if case.name in predictions]
    chosen = choose_cases(cases, predictions, classifier.space, session.config.explanation.cases)
    by_case = {case.name: classifier for case in chosen}
    return explain_chosen(chosen, by_case, material, predictions, folder, session)


def explain_chosen(
    chosen: Sequence[Case],
    classifiers: Mapping[str, Classifier],
    material: Material,
    predictions: Mapping[str, Prediction],
    folder: Path,
    session: Session,
) -> list[ExplainedCase]:
    """Explain these cases, each by the classifier that ``classifiers`` has for its name; see :func:`explain_cases`."""
    explained = []
    writer = Writer(folder)
    for case in session.progress.track(chosen, "Explaining"):
        classifier = classifiers[case.name]
        try:
            explanation = _explain(classifier, material, case, predictions[case.name], session)
        except ScanRefused:  # readable when it was prepared, and not any more
            continue
        prediction, name = predictions[case.name], session.pseudonyms.case(case.name)
        row = Row(name, patient=pseudonym_of(case, session.pseudonyms))
        png = writer.add(row, prediction, classifier, explanation).picture.read_bytes()
        came = outcome(case, prediction, classifier.space)
        explained.append(ExplainedCase(png, _caption(name, case, prediction, classifier, explanation), came))
    if chosen:
        writer.finish(classifiers[chosen[0].name])
    return explained


def report_training(
    run: Run,
    config: Config,
    material: Material,
    trained: Trained,
    metrics: Mapping[str, Mapping[str, Any]],
    explained: Sequence[ExplainedCase],
    environment: Mapping[str, str],
) -> None:
    """Write the run's report, with checklists and model card."""
    evaluated: dict[str, Mapping[str, Any]] = {name: metrics[name] for name in PARTITIONS if name in metrics}
    content = replace(
        cohort_content(run.name, config, material.cohort, evaluated, environment, near=near_cases(material, "test")),
        learning_curve=cast(documents.LearningCurve | None, metrics.get(LEARNING_CURVE)),
        history=read_epochs(run),
        best_epoch=trained.fitted.best_epoch,
        explanations=tuple(explained),
        classifier=classifier_properties(trained.classifier),
    )
    made = trained.classifier
    write_documents(
        run.path, content, config, made.provenance, run.classifier_folder, origin_of(made), run.closing(run)
    )


def cohort_content(
    title: str,
    config: Config,
    cohort: Cohort,
    metrics: Mapping[str, Mapping[str, Any]],
    environment: Mapping[str, str],
    reported: str = "test",
    *,
    near: int = 0,
) -> ReportContent:
    """What a report says of a config, its cohort and the metrics, before anything about a classifier.

    Args:
        title: The report's.
        config: The config.
        cohort: The cohort.
        metrics: By partition, as in ``metrics.json``.
        environment: Versions and device.
        reported: The partition that the headline is about; ``pooled``: the cases in folds; ``external``: those of test.
        near: Reported cases that look nearly the same as one that helped to make the classifier, or of another fold.
    """
    held: dict[str, Partition] = {"pooled": "train", EXTERNAL: "test", "tune": "tune", "train": "train"}
    evaluated = cohort.partition(held.get(reported, "test"))
    return ReportContent(
        title=title,
        region=config.region,
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
        space=cohort.space,
        cohort=cohort_flow(cohort, external=reported == EXTERNAL),
        metrics=metrics,
        config_text=public_config(config),
        environment=environment,
        warnings=cohort.warnings,
        reported=reported,
        unnamed=sum(not case.names_patient for case in evaluated),
        near=near,
        explained_by=config.explanation.by,
    )


def near_cases(material: Material, side: str | None = None) -> int:
    """Cases on this side, or on any, that look nearly the same as a case of another partition or fold."""
    return 0 if material.audit is None else material.audit.near_cases(side)


def cohort_flow(cohort: Cohort, *, external: bool = False) -> CohortFlow:
    """The way from the cases that were given to the partitions; those of an external cohort are evaluated as test is."""
    counts = Counter(exclusion.code for exclusion in cohort.excluded)
    reasons = tuple(ReasonCount(code, _reason(code), number) for code, number in sorted(counts.items()))
    partitions = tuple(
        partition_counts(EXTERNAL if external else name, cohort.partition(name), cohort.labels) for name in PARTITIONS
    )
    return CohortFlow(
        given=len(cohort.cases) + len(cohort.excluded),
        left_out=reasons,
        partitions=tuple(counted for counted in partitions if counted.cases),
        notes=note_counts(cohort, EXTERNAL if external else None),
    )


def partition_counts(name: str, cases: Sequence[Case], labels: tuple[str, ...]) -> PartitionCounts:
    """What a partition holds."""
    by_label = {label: sum(index in case.reference for case in cases) for index, label in enumerate(labels)}
    unnamed = sum(not case.names_patient for case in cases)
    known = {label: sum(case.knows(index) for case in cases) for index, label in enumerate(labels)}
    return PartitionCounts(name, len(cases), len({case.patient for case in cases}), by_label, unnamed, known)


def classifier_properties(classifier: Classifier) -> dict[str, str]:
    """What a reader should know about the classifier."""
    recipe = classifier.recipe
    joined = {"Ensemble": mean_of_members(classifier)} if isinstance(classifier, Ensemble) else {}
    return {
        **joined,
        "Network": classifier.model.in_words(recipe.dimensions),
        "Input": f"{' x '.join(map(str, recipe.size))}, {counted(recipe.channels, 'channel')}",
        "Preparation": f"{recipe.region} / {recipe.kind}: {', '.join(step.name for step in recipe.steps)}",
        **weights_properties(classifier),
        **_training(classifier),
        "Calibration": calibration_statement(classifier),
        "Cohort hash": str(classifier.provenance.get("cohort_sha256", ""))[:16],
    }


def _training(classifier: Classifier) -> dict[str, str]:
    how = classifier.provenance.get("training")
    return {"Training": how} if isinstance(how, str) else {}


def _explain(
    classifier: Classifier, material: Material, case: Case, prediction: Prediction, session: Session
) -> Explanation:
    if case.source is None:
        raise ScanRefused(RefusalCode.NO_SCAN, "the scan was not located")
    label = label_to_explain(case, prediction, classifier.space)
    scan = read_scan(classifier.recipe.taken(case.source), leniency=classifier.leniency)
    prepared = material.entries[case.name].read()
    return classifier.explain_prepared(scan, prepared, label, session.config.explanation.by, session.progress)


def _caption(name: str, case: Case, prediction: Prediction, classifier: Classifier, explanation: Explanation) -> str:
    reference = ", ".join(classifier.labels[index] for index in case.reference) or "none"
    if case.unknown:
        reference += f" (not known: {', '.join(classifier.labels[index] for index in case.unknown)})"
    predicted = ", ".join(prediction.predicted) or "none"
    label = explanation.label
    probability = prediction.probabilities[classifier.labels.index(label)]
    whose = f"{label}{_why(label, case, prediction, classifier)}"
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in explanation.notes)
    return (
        f"{name}: reference {reference}, prediction {predicted}. The map is that of {whose}, with a probability of "
        f"{probability:.2f}. {explanation.resolution}."
        f"{notes}{in_spite_of_map(explanation, prediction, classifier, probability)}"
    )


def _why(label: str, case: Case, prediction: Prediction, classifier: Classifier) -> str:
    has = label in {classifier.labels[index] for index in case.reference}
    if has and label not in prediction.predicted:
        return ", which was missed"
    if not case.knows(classifier.labels.index(label)):
        return ", of which it is not known whether it is there"
    return ", which was given wrongly" if label in prediction.predicted and not has else ""


def in_spite_of_map(
    explanation: Explanation, prediction: Prediction, classifier: Classifier, probability: float
) -> str:
    """Why a label is predicted that the map does not argue for: map and prediction are measured from different points."""
    label = explanation.label
    if label not in prediction.predicted or not (explanation.is_empty or probability < 0.5):
        return ""
    cuts = {cut.label: cut.value for cut in classifier.operating_point.cuts}
    shown = f"The map shows {explanation.by.told.shows}, so it can show little or nothing."
    if label in cuts:
        reached = threshold(cuts[label])
        return f" {label} was predicted because its probability reaches the threshold of {reached}. {shown}"
    if len(cuts) == 1 and len(classifier.labels) == 2:  # the other label is what is left below the threshold
        ((positive, value),) = cuts.items()
        return (
            f" {label} was predicted because the probability of {positive} does not reach the threshold of {threshold(value)}. "
            f"{shown}"
        )
    return f" {label} was predicted all the same, as the most probable label."


def _reason(code: str) -> str:
    if code in _REASONS:
        return _REASONS[code]
    return CAUSES[RefusalCode(code)].cause if code in set(RefusalCode) else code
