"""The verbs ``evaluate`` of a run, ``evaluate-scores`` of a table of any model's scores, and ``compare`` of both."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.exits import code_of
from medcls.cli.options import (
    AllowLeakage,
    ColumnsOption,
    EvaluationSetOption,
    ExploratoryOption,
    Identifiers,
    Json,
    MultilabelOption,
    OutOption,
    OverwriteOption,
    PositiveOption,
    Quiet,
    RuleOption,
    ThresholdOption,
)
from medcls.cli.screen import lively
from medcls.errors import UsageError


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run, by path or name.", metavar="RUN")],
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="A table of other cases, with the run's columns; default: test again."),
    ] = None,
    rule: RuleOption = None,
    exploratory: ExploratoryOption = False,
    allow_leakage: AllowLeakage = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Evaluate a run's frozen classifier on its test cases again, or on other cases."""
    from medcls.cli import evaluating, show

    if rule and not exploratory:
        typed = shlex.join([str(run), *(["--cases", str(cases)] if cases else []), "--exploratory", "--rule", rule])
        raise UsageError(
            "--rule belongs to --exploratory: the classifier's own threshold is frozen",
            remedy=f"To choose another on these cases write medcls evaluate {typed}",
        )
    chosen_by = evaluating.rule_settings(rule).operating_point if rule else None
    found = evaluating.finished_run(run, cases)
    from medcls.workflows.commands.evaluate import evaluate_run

    result = evaluate_run(
        found,
        cases=cases,
        out=out,
        allow_leakage=allow_leakage,
        exploratory=exploratory,
        rule=chosen_by,
        overwrite=overwrite,
        progress=lively(quiet),
    )
    show.evaluation(result, as_json=json, quiet=quiet)
    return code_of(result.answered, result.refused)


def evaluate_scores(
    table: Annotated[Path, typer.Argument(help="A CSV table of any model's scores.", metavar="TABLE")],
    columns: ColumnsOption = None,
    positive: PositiveOption = None,
    multilabel: MultilabelOption = False,
    threshold: ThresholdOption = None,
    rule: RuleOption = None,
    exploratory: ExploratoryOption = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Calibrate probabilities on the tune rows: temperature, platt, isotonic, vector or dirichlet.",
            metavar="METHOD",
        ),
    ] = None,
    covariates: Annotated[
        str | None,
        typer.Option(
            "--covariates", help="Columns to form subgroups by; default: all further covariates.", metavar="A,B"
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="A second table of scores of the same cases, to compare with.", metavar="OTHER"),
    ] = None,
    compare_columns: Annotated[
        list[str] | None,
        typer.Option(
            "--compare-columns", help="As --columns, where the second table differs.", metavar="ROLE=COLUMN,…"
        ),
    ] = None,
    compare_threshold: Annotated[
        list[str] | None,
        typer.Option("--compare-threshold", help="As --threshold, for the second table.", metavar="X"),
    ] = None,
    allow_leakage: AllowLeakage = None,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Call cases by their lines (hash), or by their names (keep).")
    ] = Identifiers.HASH,
    set_: EvaluationSetOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Evaluate a table of any model's scores; neither the model nor scans are needed."""
    from medcls.cli import evaluating, show
    from medcls.scores.comparison.compare import evaluate_and_compare
    from medcls.scores.evaluate import evaluate_scores as evaluate_table
    from medcls.scores.recalibrate import calibration_method

    progress = lively(quiet)
    options = replace(
        evaluating.options(
            columns=columns,
            positive=positive,
            multilabel=multilabel,
            threshold=threshold,
            rule=rule,
            exploratory=exploratory,
            changes=set_,
        ),
        calibrate=calibration_method(calibrate),
        covariates=None if covariates is None else tuple(filter(None, map(str.strip, covariates.split(",")))),
        allow_leakage=allow_leakage,
        keep_names=identifiers is Identifiers.KEEP,
    )
    other = evaluating.second_table(compare, options, compare_columns, compare_threshold)
    if other is None:
        result = evaluate_table(table, options, out, overwrite=overwrite, progress=progress)
    else:
        result = evaluate_and_compare((table, options), other, out, overwrite=overwrite, progress=progress)
    show.evaluation(result, as_json=json, quiet=quiet)
    return code_of(result.answered, result.refused)


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, folders of evaluations, or CSV tables of scores, of the same cases.", metavar="RUN…"
        ),
    ],
    columns: ColumnsOption = None,
    positive: PositiveOption = None,
    multilabel: MultilabelOption = False,
    threshold: ThresholdOption = None,
    rule: RuleOption = None,
    exploratory: Annotated[
        bool, typer.Option("--exploratory", help="Choose tables' thresholds on the compared cases; marks every page.")
    ] = False,
    set_: EvaluationSetOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Compare models on the cases that they share: paired differences with intervals, p-values, adjusted by Holm."""
    from medcls.cli import evaluating, show
    from medcls.scores.comparison.compare import compare as run_comparison

    options = evaluating.options(
        columns=columns,
        positive=positive,
        multilabel=multilabel,
        threshold=threshold,
        rule=rule,
        exploratory=exploratory,
        changes=set_,
    )
    result = run_comparison(models, replace(options, covariates=()), out, overwrite=overwrite, progress=lively(quiet))
    show.comparison(result, as_json=json, quiet=quiet)
    return 0
