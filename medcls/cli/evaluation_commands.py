"""The verbs ``evaluate`` and ``compare``: of runs, and of tables of any model's scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.exits import code_of
from medcls.cli.options import (
    AllowLeakage,
    ColumnsOption,
    Identifiers,
    Json,
    MultilabelOption,
    OutOption,
    OverwriteOption,
    PositiveOption,
    Quiet,
    RuleOption,
    SetOption,
    ThresholdOption,
)
from medcls.cli.screen import lively
from medcls.errors import UsageError


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A finished run, by path or name.", metavar="RUN")] = None,
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="A table of other cases, with the run's columns; default: test again."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="Instead of a run: a CSV table of any model's scores.", metavar="FILE"),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="A second table of scores of the same cases, to compare with.", metavar="FILE"),
    ] = None,
    columns: ColumnsOption = None,
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
    positive: PositiveOption = None,
    multilabel: MultilabelOption = False,
    threshold: ThresholdOption = None,
    rule: RuleOption = None,
    exploratory: Annotated[
        bool,
        typer.Option("--exploratory", help="Choose the threshold on the evaluated cases; marks every page."),
    ] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Calibrate a table's probabilities on its tune rows: temperature, platt, isotonic, vector or dirichlet.",
            metavar="METHOD",
        ),
    ] = None,
    covariates: Annotated[
        str | None,
        typer.Option(
            "--covariates",
            help="Columns of scores' table to form subgroups by; default: all other covariates.",
            metavar="A,B",
        ),
    ] = None,
    allow_leakage: AllowLeakage = None,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Call cases of a table by their lines, or by their names.")
    ] = Identifiers.HASH,
    set_: SetOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Evaluate a frozen classifier on its test cases again or on other cases, or evaluate a table of any model's scores."""
    from medcls.cli import evaluating, show

    progress = lively(quiet)
    asked = evaluating.Asked(run=run, cases=cases, predictions=predictions, compare=compare)
    asked.check()
    if predictions is not None:
        options = evaluating.options(
            columns=columns,
            positive=positive,
            multilabel=multilabel,
            threshold=threshold,
            rule=rule,
            exploratory=exploratory,
            calibrate=calibrate,
            covariates=covariates,
            allow_leakage=allow_leakage,
            keep_names=identifiers is Identifiers.KEEP,
            changes=set_,
        )
        evaluated = evaluating.evaluate_scores(
            asked, options, compare_columns, compare_threshold, out, overwrite=overwrite, progress=progress
        )
        show.evaluation(evaluated, as_json=json, quiet=quiet)
        return code_of(evaluated.answered, evaluated.refused)
    evaluating.refuse_for_runs(
        columns=columns,
        positive=positive,
        multilabel=multilabel,
        threshold=threshold,
        covariates=covariates,
        calibrate=calibrate,
        set_=set_,
    )
    if rule and not exploratory:
        raise UsageError("--rule belongs to --exploratory: the classifier's own threshold is frozen")
    found = evaluating.finished_run(asked)
    from medcls.workflows.commands.evaluate import evaluate_run

    result = evaluate_run(
        found,
        cases=cases,
        out=out,
        allow_leakage=allow_leakage,
        exploratory=exploratory,
        rule=evaluating.rule_settings(rule).operating_point if rule else None,
        overwrite=overwrite,
        progress=progress,
    )
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
    set_: SetOption = None,
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
        covariates="",
        changes=set_,
    )
    result = run_comparison(models, options, out, overwrite=overwrite, progress=lively(quiet))
    show.comparison(result, as_json=json, quiet=quiet)
    return 0
