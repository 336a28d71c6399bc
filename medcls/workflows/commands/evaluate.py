"""``evaluate``: the frozen classifier and threshold on a run's test partition again, or on an external cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, Prediction, load_classifier
from medcls.cohort import Cohort, read_cohort
from medcls.cohort.patient_key import patient_pseudonym
from medcls.cohort.sources.locate import external_settings, frozen_labels
from medcls.config import Config
from medcls.config.sections.evaluation import OperatingPointRule
from medcls.errors import RunError
from medcls.evaluation import exploratory_point
from medcls.evaluation.metrics.further import further_metrics
from medcls.evaluation.shift.wording import strong_shift
from medcls.files import write_json
from medcls.names import file_stem
from medcls.preprocessing import PreparedStore
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.checklists import FILES as LISTS
from medcls.reporting.record import Origin
from medcls.runs import explanation_files
from medcls.runs.changed_files import SUMS
from medcls.runs.environment import describe_environment
from medcls.runs.evaluation_result import EvaluationResult
from medcls.runs.folder import Run
from medcls.runs.leak_list import leaks_listed
from medcls.runs.metric_tables import TABLES, write_metrics
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.runs.provenance import changed_since_training, origin_of_evaluated
from medcls.runs.run_tables import read_partitions, write_excluded, write_predictions
from medcls.runs.scan_notes import say_notes
from medcls.runs.training_cases import read_training_cases
from medcls.scans import Refusal, ScanSource
from medcls.values.caution import in_order, serious
from medcls.workflows.data.find_inputs import Targets
from medcls.workflows.data.leakage_audit import AUDIT, allowed_at_training, audit_evaluated
from medcls.workflows.data.prepare import Material, prepare_cases
from medcls.workflows.data.training_summary import measure, read_training_summary, shift_from_training
from medcls.workflows.fitting.fit_classifier import as_predictions
from medcls.workflows.reporting.baseline import load_baseline
from medcls.workflows.reporting.documents import CHECKLISTS, MODEL_CARD, write_documents
from medcls.workflows.reporting.evaluate_cases import evaluate_cases
from medcls.workflows.reporting.report import classifier_properties, cohort_content, explain_cases
from medcls.workflows.session import Session

_TABLES = (*TABLES, "predictions.csv", "excluded.csv", AUDIT)
_OWN = (*_TABLES, MODEL_CARD, *(f"{CHECKLISTS}/{name}" for name in LISTS), SUMS, "report.html")
FILES = (*_OWN, *(f"explanations/{name}" for name in explanation_files.FILES))


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """What is evaluated, and where its results go.

    Attributes:
        run: The run.
        classifier: Its classifier.
        session: Of its config.
        cases: The table of an external cohort; ``None``: the run's own test partition.
        folder: Where the results go.
    """

    run: Run
    classifier: Classifier
    session: Session
    cases: Path | None
    folder: Path

    @property
    def name(self) -> str:
        return "test" if self.cases is None else "external"

    @property
    def start(self) -> Path | None:
        """The folder that the scans' paths are shown from."""
        config = self.session.config
        return self.cases.parent if self.cases is not None and config.privacy.places else config.places_from

    @property
    def same_key(self) -> bool:
        """Whether the pseudonyms have the key that the run was made with."""
        mark = self.session.pseudonyms.mark
        return (self.classifier.provenance.get("pseudonym_key") or mark) == mark


@alone
def evaluate_run(
    run: Run,
    *,
    cases: Path | None = None,
    out: Path | None = None,
    allow_leakage: str | None = None,
    exploratory: bool = False,
    rule: OperatingPointRule | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Evaluate a finished run's classifier; nothing is fitted or chosen again, unless ``exploratory``.

    Args:
        run: The run.
        cases: A table of an external cohort, with the columns that the run's config names and no other labels; ``None``:
            the run's own test partition, from its scans.
        out: Folder for ``metrics.json``, ``predictions.csv``, ``excluded.csv``, ``audit.json`` and ``report.html``; by
            default ``evaluation-test`` or ``evaluation-NAME`` in the run, with a number when it is taken. ``figures.csv``
            and ``subgroups.csv`` have the metrics as tables.
        allow_leakage: Why cases are evaluated although the classifier was trained or tuned on them; the report says it first.
        exploratory: Choose the threshold anew on the evaluated cases; every page and ``metrics.json`` are marked so.
        rule: The rule to choose it by; by default the config's.
        overwrite: Replace earlier results in ``out``.
        progress: Where to say how far it is.

    Raises:
        UsageError: ``out`` has results already.
        RunError: The run has no classifier, a file of it is damaged, or its cases are no longer what they were.
        CohortError: The external table is wrong; or a case is one that the classifier was trained or tuned on, and no
            reason is given.
    """
    config = run.load_config()
    further_metrics(config.evaluation.metrics)  # whether they are there
    classifier = load_classifier(run.path)
    session = Session.of(config, progress)
    pseudonyms = session.pseudonyms
    frozen = _frozen(config, classifier)
    known = read_training_cases(run.path, _took_part(classifier, "train", "tune"))
    baseline, summary = load_baseline(run.path), None if cases is None else read_training_summary(run.path)
    of_table = replace(session, config=frozen)
    cohort = _own_test(run, classifier, of_table) if cases is None else _external(cases, of_table)
    cohort = cohort.warn(*serious("changed-files", *changed_since_training(run, classifier, config)))
    default = run.path / f"evaluation-{file_stem('test' if cases is None else cases.stem)}"
    folder = results_folder(out, default, FILES, overwrite=overwrite)
    this = _Evaluation(run, classifier, session, cases, folder)
    store = PreparedStore.of(config.store)
    material = prepare_cases(cohort, classifier.recipe, store, classifier.leniency, progress)
    say_notes(material.cohort, pseudonyms, progress)
    with leaks_listed(folder):
        material, audit = audit_evaluated(
            run.path,
            material,
            session,
            allowed=allowed_at_training(run.path) if allow_leakage is None and cases is None else allow_leakage,
            known=known,
            same_key=this.same_key,
            start=this.start,
        )
    case_predictions = _predictions(classifier, material, progress)
    point = classifier.operating_point
    if exploratory:
        predictions = as_predictions(classifier, material.cohort.cases, case_predictions, pseudonyms)
        point = exploratory_point(predictions, rule or config.evaluation.operating_point, name=this.name)
    features = measure(material, progress)
    evaluation = evaluate_cases(
        classifier,
        material.cohort.cases,
        case_predictions,
        session,
        refused=material.cohort.excluded,
        point=point,
        baseline=None if baseline is None else baseline.case_predictions(material.cohort.cases, features, pseudonyms),
        shift=None if summary is None else shift_from_training(summary, material.cohort, features),
    )
    origin, metrics = origin_of_evaluated(classifier, known, audit), evaluation.to_json()
    discard_earlier(folder, _OWN)
    explanation_files.clear(folder / "explanations")
    write_json(folder / AUDIT, audit)
    return _write(this, material, case_predictions, metrics, origin, audit)


def targets_of_test(run: Run, classifier: Classifier, progress: Progress = SILENT) -> tuple[Targets, Pseudonyms]:
    """The scans of a run's test cases, each called by its case's pseudonym, and those that cannot be found any more."""
    config = run.load_config()
    session = Session.of(config, progress)
    pseudonyms, cohort = session.pseudonyms, _own_test(run, classifier, session)
    progress.warn(*changed_since_training(run, classifier, config))
    items: list[ScanSource | Refusal] = [
        replace(case.source, name=pseudonyms.case(case.name)) for case in cohort.cases if case.source is not None
    ]
    items += [Refusal(pseudonyms.case(one.name), one.code, one.reason, "") for one in cohort.excluded]
    patients = [case.patient for case in cohort.cases if case.source is not None]
    patients += [one.patient for one in cohort.excluded]
    shown = tuple(patient_pseudonym(patient, pseudonyms) if patient else "" for patient in patients)
    return Targets(tuple(items), patients=shown), pseudonyms


def _took_part(classifier: Classifier, *partitions: str) -> int | None:
    """How many cases of these partitions the classifier says it was made with; ``None`` where it does not say."""
    counts = classifier.provenance.get("cases")
    counts = [counts.get(name, 0) for name in partitions] if isinstance(counts, Mapping) else [None]
    return sum(counts) if all(isinstance(one, int) for one in counts) else None


def _own_test(run: Run, classifier: Classifier, session: Session) -> Cohort:
    partitions = read_partitions(run.path / "cohort.csv")
    expected, said = sum(one == "test" for one in partitions.values()), _took_part(classifier, "test")
    if said is not None and expected < said:
        raise RunError(
            f"cohort.csv is damaged: it has {expected} of the run's {said} test cases",
            where=str(run.path / "cohort.csv"),
            remedy="Restore the file from a copy of the run",
        )
    cohort, pseudonyms = read_cohort(session.config, session.progress), session.pseudonyms
    named = [(case, partitions.get(pseudonyms.case(case.name))) for case in cohort.cases]
    cases = [replace(case, partition="test") for case, partition in named if partition == "test"]
    excluded = [one for one in cohort.excluded if partitions.get(pseudonyms.case(one.name)) == "test"]
    if not expected:
        raise RunError(
            "the run has no test partition: its cases were evaluated fold by fold",
            where=str(run.path),
            remedy=f"Name one of its folds ({run.folds / '1-1'}), or give other cases",
        )
    if len(cases) + len(excluded) != expected:
        raise RunError(
            f"only {len(cases) + len(excluded)} of the {expected} test cases are found again",
            where=str(run.path),
            remedy="Restore the table, the scans and the pseudonym key that the run was made with",
        )
    return replace(cohort, cases=tuple(cases), excluded=tuple(excluded))


def _frozen(config: Config, classifier: Classifier) -> Config:
    """The config with the classifier's labels, so that none that is missing or new in a table shifts them."""
    return frozen_labels(config, classifier.space)


def _external(table: Path, session: Session) -> Cohort:
    cohort = read_cohort(external_settings(session.config, table), session.progress)
    return cohort.replace_cases(replace(case, partition="test") for case in cohort.cases)


def _predictions(classifier: Classifier, material: Material, progress: Progress) -> dict[str, Prediction]:
    cases = material.cohort.cases
    prepared = (material.entries[case.name].read() for case in progress.track(cases, "Classifying"))
    logits = classifier.logits(prepared)
    return {case.name: classifier.prediction(row) for case, row in zip(cases, logits, strict=True)}


def _shift_rows(metrics: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = (metrics.get("shift") or {}).get("rows", ())
    return rows


def _write(
    this: _Evaluation,
    material: Material,
    case_predictions: Mapping[str, Prediction],
    metrics: Mapping[str, Any],
    origin: Origin,
    audit: Mapping[str, Any],
) -> EvaluationResult:
    name, folder, classifier, session = this.name, this.folder, this.classifier, this.session
    config, pseudonyms = session.config, session.pseudonyms
    near = len({one["case"] for one in audit["against_training"]["near"]})
    shifted = strong_shift([(row["group"], row["name"]) for row in _shift_rows(metrics) if row["verdict"] == "strong"])
    cohort = material.cohort if shifted is None else material.cohort.warn(*serious("shift", shifted))
    session.progress.warn(*map(str, in_order(cohort.warnings)), *metrics["notes"])
    write_metrics(folder, {name: metrics})
    write_predictions(folder / "predictions.csv", cohort, case_predictions, pseudonyms)
    write_excluded(folder / "excluded.csv", cohort, pseudonyms, this.start)
    explained = explain_cases(classifier, material, case_predictions, folder / "explanations", session)
    title, environment = f"{config.name}: {name}", describe_environment()
    content = replace(
        cohort_content(title, config, cohort, {name: metrics}, environment, reported=name, near=near),
        explanations=tuple(explained),
        classifier=classifier_properties(classifier),
        unchecked=not origin.checked,
    )
    write_documents(folder, content, config, classifier.provenance, this.run.classifier_folder, origin)
    return EvaluationResult(name, metrics, folder, len(cohort.cases), len(cohort.excluded), cohort.warnings)
