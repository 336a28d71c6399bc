"""Evaluating and comparing any model's scores, as functions of plain values; neither torch nor MONAI is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medcls.config import load_config
from medcls.errors import UsageError
from medcls.evaluation.metrics.further import given_metrics
from medcls.evaluation.metrics.metric import Metric
from medcls.files import as_path, as_path_or_none
from medcls.progress import SILENT, Progress, as_progress
from medcls.runs.evaluation_result import EvaluationResult
from medcls.scores.comparison.compare import Compared, evaluate_and_compare
from medcls.scores.comparison.compare import compare as compare_paths
from medcls.scores.evaluate import ScoreOptions
from medcls.scores.evaluate import evaluate_scores as evaluate_table
from medcls.scores.recalibrate import calibration_method

PathLike = str | os.PathLike[str]
Thresholds = float | Mapping[str, float]


def evaluate_scores(
    table: PathLike,
    out: PathLike | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    positive: str | None = None,
    multilabel: bool = False,
    threshold: Thresholds | None = None,
    exploratory: bool = False,
    calibrate: str | None = None,
    covariates: Sequence[str] | None = None,
    compare: PathLike | None = None,
    compare_columns: Mapping[str, str] | None = None,
    compare_threshold: Thresholds | None = None,
    allow_leakage: str | None = None,
    keep_names: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    metrics: Sequence[Metric | str] = (),
    progress: Progress = SILENT,
    **evaluation: Any,
) -> EvaluationResult:
    """Evaluate a CSV table of any model's scores; see :mod:`medcls.scores.evaluate` for what is written.

    Args:
        table: The table: columns case, patient, reference, partition, and ``score`` or a ``p_LABEL`` for each label.
        out: Folder for the results; by default ``evaluation-NAME``, with a number when it is taken.
        columns: Role to column, where a column has another name.
        positive: The positive one of two labels.
        multilabel: A case may have any number of labels.
        threshold: The operating point, in the scores' own unit; by label where there are several.
        exploratory: Choose it on the cases that are evaluated; every page is marked.
        calibrate: Calibrate on the tune rows: ``temperature``, ``platt``, ``isotonic``, ``vector`` or ``dirichlet``.
        covariates: Columns to form subgroups by; ``None``: all further ones that are covariates.
        compare: A second table of the same cases.
        compare_columns: As ``columns``, where the second table differs.
        compare_threshold: As ``threshold``, for the second table.
        allow_leakage: Why a patient may be both among the test rows and the others.
        keep_names: Call cases by their names in what is written, not by their lines.
        overwrite: Replace earlier results in ``out``.
        seed: Seed of every bootstrap.
        metrics: Further metrics, as objects, or the names of those of installed packages.
        progress: Where to say how far it is.
        **evaluation: Keys of the config's section ``evaluation``, e.g. ``prevalences=[0.01]``.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> evaluated = medcls.evaluate_scores("scores.csv", "evaluated", threshold=0.5, replicates=100)
        >>> round(evaluated.metrics["sensitivity"]["value"], 2)
        0.75
    """
    with given_metrics(metrics) as further:
        how = replace(
            _options(
                columns, positive, multilabel, threshold, exploratory, seed, {**evaluation, "metrics": list(further)}
            ),
            calibrate=calibration_method(calibrate),
            covariates=None
            if covariates is None
            else (covariates,)
            if isinstance(covariates, str)
            else tuple(covariates),
            allow_leakage=allow_leakage,
            keep_names=keep_names,
        )
        folder, progress = as_path_or_none(out, "out"), as_progress(progress)
        if compare is None:
            if compare_columns or compare_threshold is not None:
                raise UsageError("compare_columns and compare_threshold need compare")
            return evaluate_table(
                as_path(table, "the table of scores"), how, folder, overwrite=overwrite, progress=progress
            )
        other = how.like(columns=_roles(compare_columns), thresholds=_texts(compare_threshold))
        pair = (as_path(table, "the table of scores"), how), (as_path(compare, "the second table"), other)
        return evaluate_and_compare(*pair, folder, overwrite=overwrite, progress=progress)


def compare(
    *models: PathLike,
    out: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    positive: str | None = None,
    multilabel: bool = False,
    threshold: Thresholds | None = None,
    exploratory: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    progress: Progress = SILENT,
    **evaluation: Any,
) -> Compared:
    """Compare runs, folders of evaluations, or tables of scores on the test cases that they share.

    Arguments other than ``models`` are as for :func:`evaluate_scores`; runs have their own columns and thresholds.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.

    Examples:
        >>> import medcls
        >>> compared = medcls.compare("scores.csv", "others.csv", out="compared", threshold=0.5, replicates=100)
        >>> compared.folder.name
        'compared'
    """
    how = replace(_options(columns, positive, multilabel, threshold, exploratory, seed, evaluation), covariates=())
    folder, progress = as_path_or_none(out, "out"), as_progress(progress)
    return compare_paths(
        [as_path(one, "a model") for one in models], how, folder, overwrite=overwrite, progress=progress
    )


def _options(
    columns: Mapping[str, str] | None,
    positive: str | None,
    multilabel: bool,
    threshold: Thresholds | None,
    exploratory: bool,
    seed: int,
    evaluation: Mapping[str, Any],
) -> ScoreOptions:
    """What evaluating and comparing are both told."""
    return ScoreOptions(
        columns=_roles(columns),
        positive=positive,
        multilabel=multilabel,
        thresholds=_texts(threshold),
        exploratory=exploratory,
        settings=load_config(None, (), {"evaluation": evaluation}).evaluation,
        seed=seed,
    )


def _roles(columns: object) -> dict[str, str]:
    if columns is not None and not isinstance(columns, Mapping):
        raise UsageError("columns is no mapping of roles to columns", remedy="Give for example {'score': 'COLUMN'}")
    return dict(columns or {})


def _texts(threshold: Thresholds | None) -> tuple[str, ...]:
    if threshold is None:
        return ()
    if isinstance(threshold, Mapping):
        return tuple(f"{label}={value!r}" for label, value in threshold.items())
    try:
        return (repr(float(threshold)),)
    except (TypeError, ValueError):
        raise UsageError(f"the threshold {threshold!r} is no number", remedy="Give 0.3, or {'LABEL': 0.3}") from None
