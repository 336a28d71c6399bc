"""``evaluate``: the frozen classifier and threshold on a run's test partition again, or on an external cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from medcls.classifier import Answer, Classifier, load_classifier
from medcls.cohort import Cohort, read_cohort
from medcls.config import Config
from medcls.config.settings import SplitSettings
from medcls.errors import CohortError, RunError
from medcls.evaluation import evaluate_partition
from medcls.files import write_json
from medcls.preprocessing import PreparedStore
from medcls.privacy import Pseudonyms, load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.config_text import public_config
from medcls.reporting.content import ReportContent
from medcls.reporting.report import write_report
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run
from medcls.runs.learning import as_predictions
from medcls.runs.preparing import Material, prepare_cases
from medcls.runs.reporting import classifier_facts, cohort_flow, explain_cases
from medcls.runs.tables import read_partitions, write_excluded, write_predictions
from medcls.scans import Refusal, ScanSource


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes:
        name: ``test``, or ``external``.
        metrics: The partition's figures, as in ``metrics.json``.
        folder: Where the files lie.
        answered: How many cases were answered.
        refused: How many were refused.
    """

    name: str
    metrics: Mapping[str, Any]
    folder: Path
    answered: int
    refused: int


def evaluate_run(
    run: Run, *, cases: Path | None = None, out: Path | None = None, progress: Progress = SILENT
) -> Evaluated:
    """Evaluate a finished run's classifier; nothing is fitted or chosen again.

    Args:
        run: The run.
        cases: A table of an external cohort, with the columns that the run's config names and no other labels; ``None``:
            the run's own test partition, from its scans.
        out: Folder for ``metrics.json``, ``predictions.csv``, ``excluded.csv`` and ``report.html``; by default
            ``evaluation-test`` or ``evaluation-NAME`` in the run.
        progress: Where to say how far it is.

    Raises:
        RunError: The run has no classifier, or its cases are no longer what they were.
        CohortError: The external table is wrong.
    """
    config = run.load_config()
    classifier = load_classifier(run.path)
    pseudonyms = load_pseudonyms(keep=config.privacy.identifiers == "keep", key_file=config.privacy.key_file)
    name = "test" if cases is None else "external"
    cohort = (
        _own_test(run, config, pseudonyms, progress)
        if cases is None
        else _external(cases, config, classifier, progress)
    )
    folder = out or run.path / f"evaluation-{name if cases is None else cases.stem}"
    store = PreparedStore(config.store.folder)
    material = prepare_cases(cohort, classifier.recipe, store, classifier.leniency, progress)
    answers = _answers(classifier, material, progress)
    return _write(name, folder, config, classifier, material, answers, pseudonyms, progress)


def sources_of_test(run: Run, progress: Progress = SILENT) -> tuple[list[tuple[str, ScanSource]], list[Refusal]]:
    """The scans of a run's test cases, each named by its case's pseudonym, and those that cannot be found any more."""
    config = run.load_config()
    pseudonyms = load_pseudonyms(keep=config.privacy.identifiers == "keep", key_file=config.privacy.key_file)
    cohort = _own_test(run, config, pseudonyms, progress)
    found = [(pseudonyms.case(case.name), case.source) for case in cohort.cases if case.source is not None]
    refused = [Refusal(pseudonyms.case(one.name), one.code, one.reason, "") for one in cohort.excluded]
    return found, refused


def _own_test(run: Run, config: Config, pseudonyms: Pseudonyms, progress: Progress) -> Cohort:
    partitions = read_partitions(run.path / "cohort.csv")
    cohort = read_cohort(config, progress)
    named = [(case, partitions.get(pseudonyms.case(case.name))) for case in cohort.cases]
    cases = [replace(case, partition="test") for case, partition in named if partition == "test"]
    excluded = [one for one in cohort.excluded if partitions.get(pseudonyms.case(one.name)) == "test"]
    expected = sum(partition == "test" for partition in partitions.values())
    if len(cases) + len(excluded) != expected:
        raise RunError(
            f"only {len(cases) + len(excluded)} of the {expected} test cases are found again",
            where=str(run.path),
            remedy="Restore the table, the scans and the pseudonym key that the run was made with",
        )
    return replace(cohort, cases=tuple(cases), excluded=tuple(excluded))


def _external(table: Path, config: Config, classifier: Classifier, progress: Progress) -> Cohort:
    columns = config.data.columns.model_copy(update={"split": None})
    data = config.data.model_copy(
        update={
            "cases": table,
            "folder": None,
            "root": None,
            "columns": columns,
            "labels": None if classifier.multilabel else list(classifier.labels),
        }
    )
    external = config.model_copy(update={"data": data, "positive": classifier.positive, "split": SplitSettings()})
    cohort = read_cohort(external, progress)
    if cohort.labels != classifier.labels:
        raise CohortError(
            f"the table's labels are not the classifier's: {', '.join(classifier.labels)}", where=str(table)
        )
    return cohort.replace_cases(replace(case, partition="test") for case in cohort.cases)


def _answers(classifier: Classifier, material: Material, progress: Progress) -> dict[str, Answer]:
    cases = material.cohort.cases
    prepared = (material.entries[case.name].read() for case in progress.track(cases, "Classifying"))
    logits = classifier.logits(prepared)
    return {case.name: classifier.answer(row) for case, row in zip(cases, logits, strict=True)}


def _clear(folder: Path) -> None:
    """Leave no picture of an earlier evaluation among the new ones."""
    for old in (*folder.glob("*.png"), *folder.glob("*.nii.gz")):
        old.unlink()


def _write(
    name: str,
    folder: Path,
    config: Config,
    classifier: Classifier,
    material: Material,
    answers: Mapping[str, Answer],
    pseudonyms: Pseudonyms,
    progress: Progress,
) -> Evaluated:
    cohort = material.cohort
    predictions = as_predictions(classifier, cohort.cases, answers, pseudonyms)
    metrics = evaluate_partition(predictions, classifier.operating_point, config.evaluation, config.seed).to_json()
    write_json(folder / "metrics.json", {name: metrics})
    write_predictions(folder / "predictions.csv", cohort, answers, pseudonyms)
    write_excluded(folder / "excluded.csv", cohort, pseudonyms)
    count = config.explanation.cases
    _clear(folder / "explanations")
    explained = explain_cases(classifier, material, answers, folder / "explanations", count, pseudonyms, progress)
    content = ReportContent(
        title=f"{config.name}: {name}",
        region=config.region,
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
        labels=classifier.labels,
        positive=classifier.positive,
        multilabel=classifier.multilabel,
        cohort=cohort_flow(cohort),
        metrics={name: metrics},
        explanations=tuple(explained),
        classifier=classifier_facts(classifier),
        config_text=public_config(config),
        environment=describe_environment(),
        reported=name,
    )
    write_report(folder / "report.html", content)
    return Evaluated(name, metrics, folder, len(cohort.cases), len(cohort.excluded))
