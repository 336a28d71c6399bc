"""``compare``: several models on the same cases, pair by pair, with intervals, tests and Holm's adjustment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.errors import RunError, UsageError
from medcls.evaluation import OperatingPoint, evaluate_partition, metrics_schema
from medcls.evaluation.comparison.compare import compare_several, comparison_schema
from medcls.evaluation.partition.metrics import PartitionMetrics, doubts, known_in_words
from medcls.evaluation.partition.score_scale import NO_PROBABILITY
from medcls.evaluation.schema_parts import COUNT, FLAG, TEXT, TEXT_OR_NULL, by_name, closed, listed, ref, said
from medcls.evaluation.statistics.bootstrap_interval import FEW_PATIENTS
from medcls.files import reading_kept, write_csv, write_json
from medcls.progress import SILENT, Progress
from medcls.reporting.comparison import ComparisonContent, write_comparison
from medcls.runs.changed_files import changed_files, changed_table
from medcls.runs.evaluation_result import EvaluationResult
from medcls.runs.folder import Run, open_run
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.scores.comparison.align import Joined, join
from medcls.scores.comparison.contestant import Contestant
from medcls.scores.comparison.run_predictions import HELD_OUT, predictions_of_run
from medcls.scores.evaluate import FILES as EVALUATION_FILES
from medcls.scores.evaluate import ScoreOptions, evaluate_into, evaluation_folder
from medcls.scores.score_table import ScoreTable
from medcls.values import documents

PAGE = "compare.html"
PREDICTIONS = "predictions.csv"
FILES = ("comparison.json", "comparison.csv", PAGE)
_FIGURES = ("auc", "sensitivity", "specificity", "accuracy")
_COLUMNS = (
    *("first", "second", "figure", "label", "first_value", "second_value", "difference", "low", "high", "method"),
    *("test", "statistic", "p_value", "p_adjusted", "reason"),
)


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes:
        document: As in ``comparison.json``.
        folder: Where the files are.
    """

    document: Mapping[str, Any]
    folder: Path


@alone
def compare(
    models: Sequence[Path],
    options: ScoreOptions | None = None,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Compared:
    """Compare runs, folders of evaluations, or files of scores, on the test cases that they share.

    Args:
        models: Runs by path or name, folders with ``predictions.csv`` and ``metrics.json``, or CSV files of scores.
        options: How files of scores are read, and the settings of all; runs have their own operating points.
        out: Folder for ``comparison.json``, ``comparison.csv`` and ``compare.html``; by default ``comparison-A-B``, in
            letters, digits and hyphens, with a number when it is taken.
        overwrite: Replace earlier results in ``out``.
        progress: Where to say how far it is.

    Raises:
        UsageError: There are fewer than two, they are for other labels, or ``out`` has results.
        RunError: A run is missing or unfinished.
        CohortError: They share no case, or none of a label, or a case has another reference label in one of them.
    """
    if len(models) < 2:
        raise UsageError("a comparison needs two models at least", remedy="Name two runs or files, or more")
    options = options or ScoreOptions()
    if options.settings.metrics:
        raise UsageError("further metrics are not compared", where="evaluation.metrics", remedy="Leave them out")
    tables = any(path.suffix.lower() == ".csv" for path in models)
    for option in ("columns", "positive", "thresholds", "exploratory"):
        if getattr(options, option) and not tables:
            what = f"{option} can be given for tables of scores alone, and these are runs"
            raise UsageError(what, remedy="Runs have their own columns, labels and thresholds")
    names = _names(models)
    folder = results_folder(out, _folder_of(names), FILES, overwrite=overwrite)
    contestants = _with_sources(
        [_contestant(path, name, options) for path, name in zip(models, names, strict=True)], models
    )
    return compare_contestants(contestants, options.settings, options.seed, folder, progress)


@alone
def evaluate_and_compare(
    first: tuple[Path, ScoreOptions],
    second: tuple[Path, ScoreOptions],
    out: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluationResult:
    """Evaluate a file of scores, and compare it with a second file of the same cases, all into one folder.

    Args:
        first: The file to evaluate, and how.
        second: The file to compare with, and how it is read.
        out: As :func:`medcls.scores.evaluate.evaluate_scores`, with the files of :func:`compare` too.
        overwrite: Replace earlier results in ``out``.
        progress: Where to say how far it is.

    Raises:
        UsageError: As :func:`medcls.scores.evaluate.evaluate_scores` and :func:`compare`.
        CohortError: The same.
    """
    folder = evaluation_folder(first[0], out, (*EVALUATION_FILES, *FILES), overwrite=overwrite)
    pairs = (first, second)
    names = _names([path for path, _ in pairs])
    tables = [how.calibrated(how.read(path))[0] for path, how in pairs]
    pairs = (first, (second[0], _with_threshold(first[1], second, tables)))
    if names[0] != names[1] and pairs[0][0] == pairs[1][0]:
        scores = [how.columns.get("score", name) for name, (_, how) in zip(names, pairs, strict=True)]
        names = scores if scores[0] != scores[1] else names
    points = [how.decide(table) for table, (_, how) in zip(tables, pairs, strict=True)]
    contestants = _with_sources(
        [
            Contestant(name, table, point, changed=changed_table(path))
            for name, table, point, (path, _) in zip(names, tables, points, pairs, strict=True)
        ],
        [path for path, _ in pairs],
    )
    join(contestants)  # what cannot be compared is known before anything is written
    pages = {PAGE: f"{names[0]} against {names[1]}: the comparison has a page of its own."}
    evaluated = evaluate_into(folder, *first, pages=pages, progress=progress)
    compared = compare_contestants(contestants, first[1].settings, first[1].seed, folder, progress)
    return replace(evaluated, comparison=compared.document)


def _with_threshold(
    first: ScoreOptions, second: tuple[Path, ScoreOptions], tables: Sequence[ScoreTable]
) -> ScoreOptions:
    """How the second table is decided: a stated threshold holds for both where both hold probabilities.

    Raises:
        UsageError: The scores have units of their own, and the second table no threshold.
    """
    path, how = second
    if how.thresholds or not first.thresholds:
        return how
    if not all(table.are_probabilities for table in tables):
        raise UsageError(
            "the scores are no probabilities, so the second table needs a threshold of its own",
            where=str(path),
            remedy="State it with --compare-threshold",
        )
    return replace(how, thresholds=first.thresholds)


def compare_contestants(
    contestants: Sequence[Contestant],
    settings: EvaluationSettings,
    seed: int,
    folder: Path,
    progress: Progress = SILENT,
) -> Compared:
    """Compare models that are read already, and write the files into ``folder``."""
    joined = join(contestants)
    progress.begin(f"Comparing {len(contestants)} models on {len(joined.contestants[0].table.names)} cases")
    document = _document(joined, settings, seed)
    discard_earlier(folder, FILES)
    write_json(folder / "comparison.json", document)
    write_csv(folder / "comparison.csv", _COLUMNS, comparison_rows(document))
    created = datetime.now().astimezone().isoformat(timespec="minutes")
    table = joined.contestants[0].table
    content = ComparisonContent(table.space, created, cast(documents.Comparison, document))
    write_comparison(folder / PAGE, content)
    return Compared(document, folder)


def comparison_document_schema() -> dict[str, Any]:
    """The JSON Schema of ``comparison.json`` (draft 2020-12)."""
    definitions = metrics_schema()["$defs"]
    estimate = ref("estimate")
    model = closed(
        {
            "name": TEXT,
            "operating_point": ref("operating_point"),
            "scores": said(TEXT, "Whether the scores are probabilities."),
            "figures": closed(dict.fromkeys(_FIGURES, estimate)),
            "cases": closed(
                {
                    "n_judged": said(COUNT, "Its own test cases, shared or not."),
                    "n_left_out": COUNT,
                    "reasons": said(by_name(COUNT), "Why cases are left out, to how many."),
                }
            ),
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "comparison.json of medcls",
        **closed(
            {
                "labels": listed(TEXT),
                "positive": TEXT_OR_NULL,
                "multilabel": FLAG,
                "n_cases": said(COUNT, "Cases that every model has a score for."),
                "left_out": said(COUNT, "Cases that not every model has a score for."),
                "models": listed(model),
                "comparisons": listed(comparison_schema()),
                "notes": listed(TEXT),
            },
            "Models on the same cases, pair by pair.",
        ),
        "$defs": {name: definitions[name] for name in ("estimate", "operating_point")},
    }


def comparison_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each difference in ``comparison.json``."""
    rows = []
    for pair in document["comparisons"]:
        for one in pair["differences"]:
            difference = one["difference"]
            rows.append(
                {
                    **{name: pair[name] for name in ("first", "second")},
                    **{name: one[name] for name in ("figure", "label", "test", "statistic", "p_value", "p_adjusted")},
                    **{name: difference[name] for name in ("low", "high", "method")},
                    "first_value": one["first"],
                    "second_value": one["second"],
                    "difference": difference["value"],
                    "reason": one["reason"] or difference["reason"],
                }
            )
    return rows


def _names(models: Sequence[Path]) -> list[str]:
    """A short name for each, with no more of the path than tells them apart."""
    bare = [path.with_suffix("") if path.suffix.lower() == ".csv" else path for path in models]
    longer = ["-".join(parts) for parts in _tails(bare)]
    return [name if longer.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(longer)]


def _folder_of(names: Sequence[str]) -> Path:
    """``comparison-A-B`` of letters, digits and hyphens, whatever the models are called."""
    return Path("-".join(re.findall(r"[^\W_]+", f"comparison {' '.join(names)}"))[:100].rstrip("-"))


def _tails(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """For each path its last parts, as many as no other path ends with; the same path twice has the same tail."""
    return [_tail(path, [other for other in paths if other != path]) for path in paths]


def _tail(path: Path, others: Sequence[Path]) -> tuple[str, ...]:
    parts = path.parts
    for length in range(1, len(parts)):
        if all(other.parts[-length:] != parts[-length:] for other in others):
            return parts[-length:]
    return parts


def _with_sources(contestants: Sequence[Contestant], models: Sequence[Path]) -> list[Contestant]:
    """The same, whose tables say in errors which of several files of one name they are."""
    files = [path if path.suffix.lower() == ".csv" else path / PREDICTIONS for path in models]
    sources = ["/".join(parts) for parts in _tails(files)]
    return [
        replace(one, table=replace(one.table, source=source)) for one, source in zip(contestants, sources, strict=True)
    ]


def _contestant(path: Path, name: str, options: ScoreOptions) -> Contestant:
    if path.suffix.lower() == ".csv":
        table = options.calibrated(options.read(path))[0]
        return Contestant(name, table, options.decide(table), changed=changed_table(path))
    folder = path if (path / PREDICTIONS).is_file() and (path / "metrics.json").is_file() else open_run(path).path
    run = Run(folder)
    metrics = run.metrics
    reported = next((one for one in ("test", "external", HELD_OUT) if one in metrics), None)
    if reported is None:
        raise RunError("nothing was evaluated here", where=str(folder), remedy="Name a run with a test partition")
    with reading_kept(run.metrics_file):
        point = OperatingPoint.from_json(metrics[reported]["operating_point"])
    return replace(predictions_of_run(folder / PREDICTIONS, name, point, reported), changed=changed_files(folder))


def _document(joined: Joined, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    evaluated = [(one.name, *one.evaluated()) for one in joined.contestants]
    called = {one.name: one.called for one in joined.contestants if one.called is not None}
    table = joined.contestants[0].table
    estimates = [evaluate_partition(*one.evaluated(), settings, seed, called=one.called) for one in joined.contestants]
    doubted = [
        f"'{one.name}': {doubt}"
        for one, metrics in zip(joined.contestants, estimates, strict=True)
        for doubt in doubts(metrics.per_label, thresholds=bool(one.point.cuts))
    ]
    return {
        **table.space.to_json(),
        "n_cases": len(table.names),
        "left_out": joined.left_out,
        "models": [
            {**_model(one, metrics), "cases": dropped.to_json()}
            for one, metrics, dropped in zip(joined.contestants, estimates, joined.dropped, strict=True)
        ],
        "comparisons": [one.to_json() for one in compare_several(evaluated, settings, seed, called=called)],
        "notes": [
            *(f"'{one.name}': {text}" for one in joined.contestants for text in one.changed),
            *doubted,
            *joined.notes,
            *known_in_words(dict(zip(table.labels, table.known.sum(axis=0).tolist(), strict=True)), len(table.names)),
            *_few(joined),
        ],
    }


def _few(joined: Joined) -> list[str]:
    """What to mind where the shared cases are few: the least difference that could have been seen."""
    table = joined.contestants[0].table
    columns = zip(table.labels, table.reference.T, strict=True)
    counted = {label: np.unique(table.patients[has]).size for label, has in columns}
    few = [f"'{label}' ({n})" for label, n in counted.items() if 0 < n < FEW_PATIENTS]
    if not few:
        return []
    return [
        f"the models share fewer than {FEW_PATIENTS} patients of {', '.join(few)}: differences this uncertain say hardly "
        "anything, and no difference found does not mean that there is none"
    ]


def _model(contestant: Contestant, metrics: PartitionMetrics) -> dict[str, Any]:
    sound = contestant.table.are_probabilities
    return {
        "name": contestant.name,
        "operating_point": contestant.point.to_json(),
        "scores": "probabilities" if sound else NO_PROBABILITY,
        "figures": {name: metrics.estimates[name].to_json() for name in _FIGURES},
    }
