"""``evaluate-scores``: evaluates any model's scores, without a model and without a scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from medcls.cohort.leakage.gate import TIES, LeakageError
from medcls.config.sections.evaluation import CalibrationMethod, EvaluationSettings
from medcls.errors import CohortError
from medcls.evaluation import OperatingPoint, evaluate_partition, fit_conformal
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.names import file_stem
from medcls.progress import SILENT, Progress
from medcls.reporting.report import write_report
from medcls.runs.changed_files import SUMS, changed_table, write_sums
from medcls.runs.evaluation_result import EvaluationResult
from medcls.runs.leak_list import leaks_listed
from medcls.runs.metric_tables import write_metrics
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.scores.csv_columns import PREFIX, ScoreColumns
from medcls.scores.operating_point import Decision, decide, parse_thresholds
from medcls.scores.read_csv import read_scores
from medcls.scores.recalibrate import recalibrated
from medcls.scores.report import FAILED, score_content
from medcls.scores.right_verb import check_no_run
from medcls.scores.score_table import ScoreTable
from medcls.scores.subgroup_columns import left_out_in_words
from medcls.values.caution import Caution, in_order, leakage, note, serious

FILES = ("metrics.json", "figures.csv", "subgroups.csv", SUMS, "report.html")
_REFERENCE = (
    "the scores say exactly what the reference says, in two values: they may be the reference itself under another name, and "
    "then perfect metrics mean nothing. Check where the column of scores comes from"
)
_DECISIONS = (
    "the scores have two values alone, so they are decisions: sensitivity and specificity are theirs, but AUC, Brier's score, "
    "calibration and decision curves say little of them. Give the scores that the decisions were made by"
)


@dataclass(frozen=True)
class ScoreOptions:
    """How a file of scores is read and evaluated.

    Attributes:
        columns: Role to column (``case``, ``patient``, ``reference``, ``score``, ``partition``) where they differ from that.
        positive: The positive one of two labels.
        multilabel: A case may have any number of labels.
        thresholds: ``0.3``, or ``LABEL=0.3`` for each label; empty: chosen on the tune rows by the rule in the settings.
        exploratory: Choose on the cases that are evaluated, and mark every page.
        calibrate: Calibrate the probabilities on the tune rows by this method; ``None``: evaluate them as they are.
        covariates: Columns to form subgroups by; ``None``: all further columns that are covariates.
        allow_leakage: Why a patient may be both in a partition that is evaluated and in another; ``None``: that is an error.
        keep_names: Call cases by their names; else by their lines in the file, which name nobody.
        settings: Confidence level, replicates, rule, prevalences.
        seed: Seed of the bootstrap.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    positive: str | None = None
    multilabel: bool = False
    thresholds: tuple[str, ...] = ()
    exploratory: bool = False
    calibrate: CalibrationMethod | None = None
    covariates: tuple[str, ...] | None = None
    allow_leakage: str | None = None
    keep_names: bool = False
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    seed: int = 0

    def like(self, *, columns: Mapping[str, str] | None = None, thresholds: Sequence[str] = ()) -> ScoreOptions:
        """The same for a second table, but for its own columns and thresholds."""
        return replace(self, columns={**self.columns, **(columns or {})}, thresholds=tuple(thresholds))

    def read(self, path: Path) -> ScoreTable:
        """Read a file of scores in this way."""
        check_no_run(path)
        return read_scores(
            path,
            columns=ScoreColumns.of(self.columns),
            positive=self.positive,
            multilabel=self.multilabel,
            covariates=self.covariates,
        )

    def calibrated(self, table: ScoreTable) -> tuple[ScoreTable, dict[str, str]]:
        """The table with calibrated probabilities where that is asked for, and what to say of the calibration."""
        if self.calibrate is None:
            return table, {}
        better, calibration = recalibrated(table, self.calibrate)
        return better, {"Calibration": f"{calibration.describe()}, fitted on {calibration.chosen_on}"}

    def decide(self, table: ScoreTable) -> OperatingPoint:
        """The operating point of a table, in the scores' own unit."""
        decision = Decision(parse_thresholds(self.thresholds, table), self.settings, self.exploratory)
        return decide(table, decision, table.where("tune"), table.where("test"))


@alone
def evaluate_scores(
    path: Path,
    options: ScoreOptions | None = None,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Evaluate a file of scores.

    Args:
        path: The CSV file.
        options: How to read and evaluate it.
        out: Folder for ``metrics.json``, ``figures.csv``, ``subgroups.csv`` and ``report.html``; by default
            ``evaluation-NAME`` after the file, with a number when it is taken.
        overwrite: Replace earlier results in ``out``.
        progress: Where to say how far it is.

    Raises:
        CohortError: The file, a row or a column is wrong, or a patient is on two sides.
        UsageError: The positive label or the operating point is not given and cannot be known; or ``out`` has results.
    """
    folder = evaluation_folder(path, out, FILES, overwrite=overwrite)
    return evaluate_into(folder, path, options or ScoreOptions(), progress=progress)


def evaluation_folder(path: Path, out: Path | None, files: Sequence[str], *, overwrite: bool) -> Path:
    """The folder for the results of evaluating a file; see :func:`medcls.runs.output_folder.results_folder`."""
    return results_folder(out, Path(f"evaluation-{file_stem(path.stem)}"), files, overwrite=overwrite)


def evaluate_into(
    folder: Path,
    path: Path,
    options: ScoreOptions,
    *,
    pages: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Evaluate a file of scores as :func:`evaluate_scores` does, with the results in ``folder``, whatever is there.

    Args:
        folder: Folder for the results.
        path: The CSV file.
        options: How to read and evaluate it.
        pages: Pages that will be beside the report, which links them: file name to words.
        progress: Where to say how far it is.
    """
    table = options.read(path)
    test = table.where("test")
    if not test.any():
        raise CohortError("no row is to be evaluated", where=str(path), remedy="Mark rows as test")
    if table.failed[test].all():
        raise _no_score(path, table, options)
    with leaks_listed(folder):
        leaks = _check_sides(path, table, options)
    warnings = in_order((*serious("changed-files", *changed_table(path)), *leaks, *_notes(table, options)))
    given = table
    table, classifier = options.calibrated(given)
    point = options.decide(table)
    progress.begin(f"Evaluating {int(test.sum())} cases of {path.name}")
    metrics = _metrics(table, given, point, options)
    progress.warn(*map(str, warnings), *metrics["test"]["notes"])
    discard_earlier(folder, FILES)
    write_metrics(folder, metrics)
    content = score_content(path.stem, table, metrics, warnings, classifier, pages or {})
    write_sums(folder)
    write_report(folder / "report.html", content)
    failed = int((table.failed & test).sum())
    answered = int(test.sum()) - failed
    return EvaluationResult("test", metrics["test"], folder, answered, failed, tuple(warnings), content.scores)


def _no_score(path: Path, table: ScoreTable, options: ScoreOptions) -> CohortError:
    """The error that no test row has a score, which names the column."""
    if table.bare:
        column = f"the column '{options.columns.get('score', ScoreColumns.score)}'"
        remedy = "Fill it, or name another with --columns score=COLUMN"
    else:
        column = "all of the columns " + ", ".join(f"'{PREFIX}{label}'" for label in table.space.scored)
        remedy = "Fill them"
    rows = int(table.where("test").sum())
    return CohortError(f"none of the {rows} test rows has a score in {column}", where=str(path), remedy=remedy)


def _metrics(table: ScoreTable, given: ScoreTable, point: OperatingPoint, options: ScoreOptions) -> dict[str, Any]:
    """``tune``, where there is any, as a glance; ``test`` with everything."""
    scales, settings, seed = table.scales(), options.settings, options.seed
    test, tune = (table.where(name) & ~table.failed for name in ("test", "tune"))
    metrics = {}
    conformal = None
    if tune.any():
        chosen_on = table.predictions(tune, scales)
        conformal = None if scales else fit_conformal(chosen_on, alpha=settings.alpha)
        shown = evaluate_partition(chosen_on, scales.ranked(point) if scales else point, settings, seed)
        metrics["tune"] = (scales.restored(shown, point) if scales else shown).to_json()
    kept = table.take(np.flatnonzero(test).tolist())
    evaluation = evaluate_in_full(
        EvaluationInput(
            table.predictions(test, scales),
            point,
            settings,
            seed,
            uncalibrated=None if given is table else given.predictions(test),
            conformal=conformal,
            covariates=kept.covariates,
            names=_names(kept, options),
            refused=_failed(table, options),
            scales=scales,
        )
    )
    return {**metrics, "test": evaluation.to_json()}


def _failed(table: ScoreTable, options: ScoreOptions) -> FailedCases:
    """The test cases without a score."""
    failed = table.take(np.flatnonzero(table.where("test") & table.failed).tolist())
    names = _names(failed, options)
    return FailedCases(names, failed.reference, failed.patients, (FAILED,) * len(names), failed.known)


def _names(table: ScoreTable, options: ScoreOptions) -> tuple[str, ...]:
    return table.names if options.keep_names else tuple(f"line {line}" for line in table.lines)


def _check_sides(path: Path, table: ScoreTable, options: ScoreOptions) -> list[Caution]:
    """No patient on two sides, unless the user says why that may be."""
    if not table.patients_known:
        return []
    test = table.where("test")
    first = dict(zip(table.patients[~test].tolist(), table.lines[~test].tolist(), strict=True))
    both = [
        (line, patient)
        for line, patient in zip(table.lines[test], table.patients[test], strict=True)
        if patient in first
    ]
    if not both:
        return []
    count = len({patient for _, patient in both})
    what = f"{count} {'patient is' if count == 1 else 'patients are'} both among the test rows and the others"
    allowed = options.allow_leakage
    if allowed is None:
        line, patient = both[0]
        raise LeakageError(
            f"{what}; the first is that of line {first[patient]} too",
            where=f"{path}:{line}",
            remedy="Mend the partitions, or say why it may be so with --allow-leakage REASON",
            rows=_leaking_rows(table, [patient for _, patient in both], options),
        )
    return [leakage(f"{what}, which was allowed: {allowed}. The metrics may be too favourable")]


def _leaking_rows(table: ScoreTable, patients: Iterable[str], options: ScoreOptions) -> list[dict[str, object]]:
    """Every row of these patients, for the list of what leaks tie."""
    names = _names(table, options)
    return [
        {
            "group": number,
            "reason": TIES["patient"],
            "case": names[row],
            "side": table.partitions[row],
            "line": int(table.lines[row]),
        }
        for number, patient in enumerate(dict.fromkeys(patients), 1)
        for row in np.flatnonzero(table.patients == patient).tolist()
    ]


def _notes(table: ScoreTable, options: ScoreOptions) -> list[Caution]:
    notes: list[Caution] = []
    if not table.patients_known:
        notes += serious(
            "patients",
            "the file names no patients: every case counts as its own. If patients have several cases, the intervals are "
            "too narrow",
        )
    else:
        column = options.columns.get("patient", "patient")
        notes += serious("patients", *table.doubted_patients(f"column '{column}'"))
    if not table.are_probabilities:
        notes += note(
            "scores",
            f"the scores are not probabilities ({_outside(table)}): what asks for probabilities is not computed",
        )
    if table.are_decisions:
        notes += serious("scores", _REFERENCE) if table.match_the_reference else note("scores", _DECISIONS)
    elif table.are_probabilities and table.bare and options.calibrate is None:
        notes += note(
            "scores",
            "the scores are between 0 and 1 and are evaluated as probabilities, which their column does not say. Where they "
            "are none, do not believe Brier's score, calibration and decision curves",
        )
    if table.no_covariates:
        notes += note("subgroups", left_out_in_words(table.no_covariates))
    return notes


def _outside(table: ScoreTable) -> str:
    """How many scores are outside 0 to 1, and the first: one typing error looks like a whole column of other numbers."""
    rows = np.flatnonzero(((table.scores < 0) | (table.scores > 1)).any(axis=1))
    first = min(rows.tolist(), key=lambda row: int(table.lines[row]))
    score = next(score for score in table.scores[first] if not 0 <= score <= 1)
    in_words = f"{score:g}".replace("-", "−")
    verb = "is" if rows.size == 1 else "are"
    return (
        f"{rows.size} of {len(table.names)} {verb} outside 0 to 1, the first in line {table.lines[first]}: {in_words}"
    )
